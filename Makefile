# SPDX-License-Identifier: GPL-2.0

VERSION := $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
KERNELDIR ?= /lib/modules/$(shell uname -r)/build
PREFIX ?= /usr
SYSCONFDIR ?= /etc
DESTDIR ?=
DKMS_SOURCE := /usr/src/vhdblk-$(VERSION)

ifneq ($(V),1)
MAKEFLAGS += --no-print-directory
Q := @
endif

all: module-if-possible tools

help:
	@echo 'vhdblk $(VERSION)'
	@echo ''
	@echo '  make                  the module and vhdctl'
	@echo '  make module           the module, for KERNELDIR=$(KERNELDIR)'
	@echo '  make tools            vhdctl, as build/vhdctl'
	@echo '  make install          the module by DKMS, vhdctl and what udev, systemd and Xen need'
	@echo '  make dkms-install     the module alone'
	@echo '  make boot-install     what starts a system from a VHD: dracut, initramfs-tools'
	@echo '  make uninstall        what both installed'
	@echo '  make deb              Debian packages, in build/deb'
	@echo '  make demo             a chain at work in a virtual machine'
	@echo '  make check            every test; ends in "N passed, N failed"'
	@echo '  make check-host       those that need no virtual machine'
	@echo '  make style            the house style alone'
	@echo '  make fuzz T=SECONDS   the fuzzers, each for T seconds (60)'
	@echo '  make test-vm LANE=oldstable|backports|latest|debug [CASES="..."]'
	@echo '  make check-packages   packages, installed and purged in clean systems'
	@echo '  make check-boot       systems that boot from a VHD; an hour, emulated'
	@echo '  make check-xen        guests of Xen with chains for disks'
	@echo '  make soak             what is too long for make check'
	@echo '  make mutants          do power cuts show what the driver needs for them?'
	@echo '  make bench [KERNELS="oldstable latest"] [PAIRS=15] [RUN_SECONDS=5]'
	@echo '                        beside its rivals; 33 minutes for each kernel, emulated'
	@echo '  make bench-smoke      two minutes; fails only below half of a gate'
	@echo '  make bench-convert    vhdctl beside qemu-img, here; half an hour'
	@echo '  make ynl, ynl-check   make or check what comes from the netlink spec'
	@echo '  make clean'
	@echo ''
	@echo 'V=1 shows the commands.'

module-if-possible:
ifneq ($(wildcard $(KERNELDIR)/Makefile),)
	$(Q)$(MAKE) module
else
	@echo 'No module: there is no kernel build tree at $(KERNELDIR).'
	@echo 'Install the headers of your kernel (Debian: linux-headers-amd64) or name'
	@echo 'another tree: make KERNELDIR=/lib/modules/VERSION/build'
endif

module:
	$(Q)$(MAKE) -C $(KERNELDIR) M=$(CURDIR) modules

tools:
	@pkg-config --exists libmnl liburing smartcols uuid || { \
		echo 'vhdctl is built with libmnl, liburing, libsmartcols and libuuid:'; \
		echo 'on Debian, "tools/scripts/setup tools" installs them.'; exit 1; }
	$(Q)$(MAKE) -C tools/vhdctl
	$(Q)$(MAKE) -C tools/systemd

install: dkms-install tools-install

dkms-install:
	$(Q)tools/scripts/dkms-install $(DKMS_SOURCE)

tools-install: tools
	$(Q)tools/scripts/tools-install $(DESTDIR)$(PREFIX) $(DESTDIR)$(SYSCONFDIR)

boot-install:
	$(Q)tools/scripts/boot-install $(DESTDIR)/

uninstall:
	$(Q)tools/scripts/boot-install --remove $(DESTDIR)/
	$(Q)tools/scripts/dkms-install --remove $(DKMS_SOURCE)
	$(Q)tools/scripts/tools-install --remove $(DESTDIR)$(PREFIX) $(DESTDIR)$(SYSCONFDIR)

deb:
	$(Q)tools/scripts/setup deb
	$(Q)tools/scripts/deb

demo:
	$(Q)tests/demo/demo

check:
	$(Q)tests/check.sh

check-host:
	$(Q)tests/check.sh style host fuzz

check-packages:
	$(Q)tests/check.sh packages

check-boot:
	$(Q)tests/check.sh boot

check-xen:
	$(Q)tests/check.sh xen

style:
	$(Q)tools/scripts/setup style
	$(Q)tools/scripts/style

T ?= 60
fuzz:
	$(Q)tools/scripts/setup tools host
	$(Q)$(MAKE) -C tests/fuzz run T=$(T)

LANE ?= oldstable
SUITE = $(if $(filter oldstable debug,$(LANE)),$(LANE),short)
CASES ?= $(shell sed "s/\#.*//" tests/vm/suites/$(SUITE))
test-vm:
	$(Q)tools/scripts/setup tools vm
	$(Q)$(MAKE) tools
	$(Q)$(MAKE) -C tests/vm/prog
	$(Q)tests/vm/lane build $(LANE)
	$(Q)tests/vm/run -k $(LANE) $(CASES)

soak:
	$(Q)$(MAKE) -C tests/host soak
	$(Q)tests/check.sh soak soak-debug soak-fuzz soak-kcsan

mutants:
	$(Q)tools/scripts/setup tools vm
	$(Q)tests/vm/mutants

KERNELS ?= oldstable latest
PAIRS ?= 15
RUN_SECONDS ?= 5
# Not every variable, but those that the results depend on.
BENCH_COMMAND = make bench KERNELS="$(KERNELS)" PAIRS=$(PAIRS) RUN_SECONDS=$(RUN_SECONDS)
bench: bench-ready
	$(Q)tests/bench/run --pairs $(PAIRS) --seconds $(RUN_SECONDS) \
		--command '$(BENCH_COMMAND)' $(KERNELS)

bench-smoke: KERNELS = oldstable
bench-smoke: bench-ready
	$(Q)tests/bench/run --smoke $(KERNELS)

bench-convert: tools
	$(Q)tools/scripts/setup host
	$(Q)tests/bench/convert --write

bench-ready:
	$(Q)tools/scripts/setup tools vm
	$(Q)$(MAKE) tools
	$(Q)for lane in $(KERNELS); do tests/vm/lane build $$lane || exit; done

ynl:
	$(Q)tools/scripts/ynl-gen

ynl-check:
	$(Q)tools/scripts/ynl-gen --check

clean:
	$(Q)rm -rf build
	$(Q)find drivers tests/kunit \( -name '*.o' -o -name '*.ko' -o -name '*.mod' \
		-o -name '*.mod.c' -o -name '.*.cmd' -o -name modules.order \) -delete
	$(Q)rm -f Module.symvers modules.order .Module.symvers.cmd .modules.order.cmd

.PHONY: all help module-if-possible module tools install boot-install dkms-install \
	tools-install uninstall deb demo check check-host check-packages check-boot check-xen \
	style fuzz test-vm soak \
	mutants bench bench-smoke bench-convert bench-ready \
	ynl ynl-check clean
