# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # whoever sources it has set top
# What tests of whole systems have in common; source it.

check() { # TEXT COMMAND...
	local text=$1
	shift
	if "$@"; then echo "ok - $text"; else echo "not ok - $text"; fi
}

# in_memory SIZE LOWER: the new directory $top is in memory, gone with the command, and
# $top/root is LOWER, to be changed at will. In a mount namespace of one's own.
in_memory() {
	mount -t tmpfs -o "size=$1" "${0##*/}" "$top"
	trap 'cd /; umount -R "$top"; rmdir "$top"' EXIT
	mkdir "$top/upper" "$top/work" "$top/root"
	mount -t overlay -o "lowerdir=$2,upperdir=$top/upper,workdir=$top/work" overlay \
		"$top/root"
}

clean() { # FILE SYSTEM
	! dumpe2fs -h "$1" 2>&1 | grep -E 'needs_recovery|not clean|error'
}

# Without what a terminal makes colours of.
plain() {
	tr -d '\r' | sed 's/\x1b\[[0-9;?]*[a-zA-Z]//g'
}
