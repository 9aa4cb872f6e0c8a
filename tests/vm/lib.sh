# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Functions for the cases of tests/vm/cases; source it as tests/vm/lib.sh.
#
# What a case may say in its first ten lines:
#   # timeout: SECONDS     its limit, ten times that in lane debug
#   # needs: PACKAGE...    installed on the host before the VM starts
#   # allow-dmesg: REGEX   kernel messages that it provokes on purpose
# It fails by its exit status, by a line "not ok - TEXT", by leaving a device
# attached, or by what the kernel log says meanwhile; exit status 77 skips it.

# skip REASON: this case cannot run here.
skip() {
	echo "$*"
	exit 77
}

pass() {
	echo "ok - $*"
}

# fail TEXT: counted; the case goes on.
fail() {
	echo "not ok - $*"
}

# check TEXT CMD...: one counted result.
check() {
	local text=$1
	shift
	if "$@"; then
		pass "$text"
	else
		fail "$text (status $?: $*)"
	fi
}

# same TEXT GOT WANTED
same() {
	if [ "$2" = "$3" ]; then
		pass "$1"
	else
		fail "$1: got '$2', wanted '$3'"
	fi
}

# expect_exit CODE CMD...: counted; the output of CMD is shown.
expect_exit() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	if [ "$got" = "$want" ]; then
		pass "exit $want: $*"
	else
		fail "exit $got, not $want: $*"
	fi
}

# scratch [ext4|xfs|btrfs] [MOUNT-OPTIONS]: an empty file system on /scratch; the
# runner unmounts it.
scratch() {
	local type=${1:-ext4}
	[ -n "${SCRATCH_DEV:-}" ] || skip "no scratch disk"
	umount /scratch 2>/dev/null || :
	mkdir -p /scratch
	wipefs -q -a "$SCRATCH_DEV"
	# Gives the space back to the host, where the disk is a sparse file.
	blkdiscard -f "$SCRATCH_DEV" 2>/dev/null || :
	case $type in
	ext4) mkfs.ext4 -q -F -E nodiscard "$SCRATCH_DEV" ;;
	xfs) mkfs.xfs -q -f -K "$SCRATCH_DEV" ;;
	btrfs) mkfs.btrfs -q -f -K "$SCRATCH_DEV" ;;
	*) skip "no such file system: $type" ;;
	esac
	mount -t "$type" ${2:+-o "$2"} "$SCRATCH_DEV" /scratch
}

# wait_for SECONDS CMD...: until CMD succeeds; ten times longer in lane debug.
wait_for() {
	local left=$1
	[ -z "${KDEBUG:-}" ] || left=$((left * 10))
	shift
	while ! "$@" 2>/dev/null; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 1
	done
}

wait_dev() {
	wait_for 60 test -b "$1" || {
		fail "$1 did not appear"
		return 1
	}
}

# sha DEV: SHA-256 of a device or file.
sha() {
	sha256sum <"$1" | cut -d' ' -f1
}

# need_images: skip where the directory $IMAGES of real images is absent.
need_images() {
	[ -d "${IMAGES:-/nonexistent}" ] || skip "no shared images here"
}

# kmemleak_check [TEXT]: counted; silent where the kernel has no kmemleak.
kmemleak_check() {
	local file=/sys/kernel/debug/kmemleak report
	[ -e "$file" ] || return 0
	# Only objects older than five seconds are reported, and one scan may see
	# a pointer on the move.
	sleep 6
	echo scan >"$file"
	sleep 6
	echo scan >"$file"
	report=$(cat "$file")
	if [ -z "$report" ]; then
		pass "${1:-kmemleak: nothing leaked}"
	else
		echo "$report" | head -n 200
		fail "${1:-kmemleak: nothing leaked}"
	fi
}

# kmemleak_reset: forget what leaked before this case.
kmemleak_reset() {
	local file=/sys/kernel/debug/kmemleak
	[ -e "$file" ] || return 0
	sleep 6
	echo scan >"$file"
	echo clear >"$file"
}
