# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Out-of-tree build of the module for one lane: warnings are errors, objects of
# the last build are reused.

# Said by every build with another compiler package or without vmlinux.
HARMLESS='the compiler differs|Skipping BTF generation|The kernel was built by|You are using'

# build_lane LANE TREE
build_lane() {
	need rsync make
	# A kernel whose headers bring its types has the module's own added, which takes the
	# packages that its headers depend on; a chroot has them.
	if [ -z "$(meta "$1" chroot)" ] && [ -e "$(meta "$1" kdir)/vmlinux" ]; then
		need gcc-12 libelf1 pahole
	fi
	mkdir -p "$TOP/build/$1"
	with_lock "build-$1-$(cksum <<<"$TOP" | cut -d' ' -f1)" build_locked "$@"
}

build_locked() {
	local lane=$1 tree=$2 out=$TOP/build/$1 src=$TOP/build/$1/src start=$SECONDS

	# Objects of another kernel are of no use, whatever their times say.
	[ "$(cat "$out/kernel" 2>/dev/null)" = "$(meta "$lane" version)" ] || as_root rm -rf "$src"
	mkdir -p "$src"
	meta "$lane" version >"$out/kernel"
	sync_sources "$tree" "$src" "$lane"
	run_make "$lane" "$src" || failed "$lane" "$src"
	publish "$src/drivers/vhdblk/vhdblk.ko" "$out/vhdblk.ko"
	[ "$lane" != debug ] || build_kunit "$src" "$out"
	echo "lane: $lane: vhdblk.ko for $(meta "$lane" kernel), $((SECONDS - start)) s"
}

# Unchanged files keep their time, so that make leaves their objects alone.
sync_sources() {
	local tree=$1 src=$2 parts=(Kbuild drivers uapi) p have=()

	# Both kernels that are built here have KUnit, and then Kbuild goes there.
	case $3 in debug|kcsan) parts+=(tests/kunit) ;; esac
	for p in "${parts[@]}"; do
		[ ! -e "$tree/$p" ] || have+=("$p")
	done
	[ ${#have[@]} != 0 ] || die "$tree: no module sources"
	(cd "$tree" && rsync -rlpcR --delete --exclude='*.o' --exclude='*.ko' --exclude='*.mod' \
		--exclude='*.mod.c' --exclude='*.cmd' --exclude=Module.symvers \
		--exclude=modules.order --exclude='*.o.d' "${have[@]}" "$src/")
}

# run_make LANE SRC [ARG...]: stops on any warning, also of modpost.
run_make() {
	local lane=$1 src=$2 log=$TOP/build/$1/build.log rc=0
	shift 2
	kbuild "$lane" "$src" W=1 KCFLAGS=-Werror "$@" >"$log" 2>&1 || rc=$?
	[ "$rc" = 0 ] || return "$rc"
	! grep -iE 'warning' "$log" | grep -qvE "$HARMLESS"
}

kbuild() {
	local lane=$1 src=$2 kdir chroot
	shift 2
	# The debug kernel itself is built without UBSAN.
	[ "$lane" != debug ] || set -- UBSAN_SANITIZE=y "$@"
	kdir=$(meta "$lane" kdir)
	chroot=$(meta "$lane" chroot)
	if [ -n "$chroot" ]; then
		chroot_make "$chroot" "$src" "$kdir" "$@"
	else
		nice make -j2 -C "$kdir" M="$src" "$@" modules
	fi
}

# Warnings must come back at the next try, so nothing built with them survives.
failed() {
	local log=$TOP/build/$1/build.log
	grep -v '^  ' "$log" | tail -n 60 >&2
	find "$2" \( -name '*.ko' -o -name '*.mod.c' -o -name Module.symvers \) -delete
	die "$1: build failed or warned (log: $log)"
}

publish() {
	[ -e "$1" ] || die "no $1 was built"
	cmp -s "$1" "$2" || {
		cp "$1" "$2.new"
		mv "$2.new" "$2"
	}
}

build_kunit() {
	local src=$1 out=$2 ko

	ko=$(find "$src" -name vhdblk_kunit.ko | head -n 1)
	if [ -z "$ko" ] && ls "$src"/tests/kunit/[KM]* >/dev/null 2>&1; then
		run_make debug "$src/tests/kunit" || failed debug "$src"
		ko=$src/tests/kunit/vhdblk_kunit.ko
	fi
	[ -z "$ko" ] || publish "$ko" "$out/vhdblk_kunit.ko"
}
