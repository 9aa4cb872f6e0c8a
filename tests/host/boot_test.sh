#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: boot_test.sh
#
# What vhdblk-boot understands of rd.vhd=, and what it says, in each shell that an
# initramfs may have.
set -u

here=$(cd "$(dirname "$0")/../.." && pwd)
passed=0 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export VHD_ROOT=$work/root VHDBLK_LIB=$here/tools/boot

# An initramfs has only what somebody has put there: by dracut, what our module names.
commands() {
	local name names
	mkdir "$work/bin"
	read -ra names < <(sed -n 's/^\tinst_multiple \([^-]\)/\1/p' \
		"$here/tools/dracut/50vhdblk/module-setup.sh")
	for name in "${names[@]}"; do
		if [ "$name" = vhdctl ]; then
			ln -s "$here/build/vhdctl" "$work/bin"
		else
			ln -s "$(command -v "$name")" "$work/bin"
		fi
	done
}

check() { # TEXT STATUS WORDS ARGUMENT...: what vhdblk-boot says to them has the words
	local text=$1 want=$2 words=$3 said status=0
	shift 3
	said=$(PATH=$work/bin "${shell[@]}" "$here/tools/boot/vhdblk-boot" "$@" 2>&1) || status=$?
	if [ "$status" = "$want" ] && [[ $said == *"$words"* && $said != *"not found"* ]] &&
		{ [ -n "$words" ] || [ -z "$said" ]; }; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok - ${shell[*]}: $text: status $status, said: $said"
	fi
}

good() { check "$1" 0 '' add "$1"; }
bad() { check "$1" 1 "rd.vhd=$1: $2" add "$1"; }
state() { # QUEUED FAILED
	local have
	have="$(find "$VHD_ROOT/run/initramfs/vhd/queue" -type f | wc -l)"
	have+=" $(find "$VHD_ROOT/run/initramfs/vhd/failed" -type f | wc -l)"
	if [ "$have" = "$*" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		echo "not ok - ${shell[*]}: queued and failed: $have, not $*"
	fi
}

one_shell() {
	shell=("$@")
	rm -rf "$VHD_ROOT"
	mkdir "$VHD_ROOT"
	good "LABEL=a:/x.vhd"
	good "UUID=1234:/x.vhd:ro"
	good "PARTUUID=1-2:/a/b.vhd:parents-in=/g,parent=LABEL=b:/g/p.vhd"
	good "/dev/sda1:/x.vhd:snapshot"
	good "/dev/disk/by-path/pci-0000:00:1f.2-ata-1:/x.vhd:snapshot=tmpfs,name=root"
	good 'PARTLABEL=two\040words:/a\072b.vhd:snapshot=UUID=9:/c.vhd,cache=buffered'
	state 6 0
	bad "/x.vhd" "it is not DEVICE:/path"
	bad "sda1:/x.vhd" "it is not DEVICE:/path"
	bad "LABEL=:/x.vhd" "it is not DEVICE:/path"
	bad "LABEL=a:x.vhd" "it is not DEVICE:/path"
	bad 'LABEL=a:/vm\x.vhd' 'a backslash that is not \ooo'
	bad "LABEL=a:/x.vhd:r0" "unknown option 'r0'"
	bad "LABEL=a:/x.vhd:ro=1" "'ro' takes no value"
	bad "LABEL=a:/x.vhd:name" "'name' needs a value"
	bad "LABEL=a:/x.vhd:parent=p.vhd" "'parent=p.vhd' is no [device:]/path"
	bad "LABEL=a:/x.vhd:parents-in=b:/p" "'parents-in=b:/p' is no [device:]/path"
	bad "LABEL=a:/x.vhd:snapshot=disk" "'snapshot=disk' is neither"
	state 6 0
	check "nothing is there" 1 '' attach
	# A device that can be opened, with nothing on it.
	mkdir -p "$VHD_ROOT/dev/disk/by-label"
	truncate -s 1M "$VHD_ROOT/a"
	ln -s "$VHD_ROOT/a" "$VHD_ROOT/dev/disk/by-label/a"
	check "no file system" 1 "there is no file system on $VHD_ROOT/a" attach
	state 5 1
	check "what is waited for" 0 "there is no UUID=1234" give-up
	state 0 6
	check "nothing is left" 0 '' attach
	check "the image is there, its parent is not" 0 '' add "LABEL=a:/x:parents-in=LABEL=z:/g"
	check "it waits" 1 '' attach
	state 1 6
	check "and says for what" 0 "there is no LABEL=z" give-up
	# A swap with a system that sleeps: its header says so at the end of a page.
	truncate -s 1M "$VHD_ROOT/swap"
	mkswap -q "$VHD_ROOT/swap" 2> /dev/null
	printf 'S1SUSPEND' | dd of="$VHD_ROOT/swap" bs=1 seek=4086 conv=notrunc status=none
	mkdir -p "$VHD_ROOT/proc"
	ln -s "$VHD_ROOT/swap" "$VHD_ROOT/dev/disk/by-label/swap"
	check "another for a device that is there" 0 '' add "LABEL=a:/x"
	echo "root=x resume=LABEL=swap quiet" > "$VHD_ROOT/proc/cmdline"
	check "nothing is mounted under a system that sleeps" 1 '' attach
	state 1 7
	echo "root=x resume=LABEL=swap noresume" > "$VHD_ROOT/proc/cmdline"
	check "unless it is not to be woken up" 0 "there is no file system" attach
	check "another" 0 '' add "LABEL=a:/x"
	echo "resume=LABEL=swap" > "$VHD_ROOT/proc/cmdline"
	check "what is not attached for it" 0 "has a system that sleeps" give-up
	echo > "$VHD_ROOT/proc/cmdline"
	VHD_FSTYPE=frob VHD_FLAGS=sync check "how hosts are mounted is kept" 0 '' add "LABEL=a:/x"
	check "for a later call" 0 "cannot mount $VHD_ROOT/a (frob)" attach
	check "no such command" 2 "usage:" frob
}

commands
one_shell "$(command -v dash)"
one_shell "$(command -v busybox)" sh
one_shell "$(command -v bash)"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
