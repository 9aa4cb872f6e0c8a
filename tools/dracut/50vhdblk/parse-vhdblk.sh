#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154 # hookdir is dracut's
# Sourced by dracut: what rd.vhd= asks for is attached as soon as its devices are there.

# shellcheck source=/dev/null
type getargs > /dev/null 2>&1 || . /lib/dracut-lib.sh

vhdblk_parse() {
	getargbool 1 rd.vhd || return 0
	VHD_FSTYPE=$(getarg rd.vhd.host.fstype=)
	VHD_FLAGS=$(getarg rd.vhd.host.flags=)
	export VHD_FSTYPE VHD_FLAGS
	vhdblk_wanted=
	for vhdblk_spec in $(getargs rd.vhd=); do
		case $vhdblk_spec in
		0|1|no|off|yes|on) continue ;;
		esac
		/usr/lib/vhdblk/vhdblk-boot add "$vhdblk_spec" && vhdblk_wanted=yes
	done
	[ -n "$vhdblk_wanted" ] || return 0
	# Not once: a device may come at any time. What has failed is not tried again.
	echo '/usr/lib/vhdblk/vhdblk-boot attach' > "$hookdir/initqueue/settled/vhdblk.sh"
	# shellcheck disable=SC2016 # for those who read it
	echo '[ "$(echo /run/initramfs/vhd/queue/*)" = "/run/initramfs/vhd/queue/*" ]' \
		> "$hookdir/initqueue/finished/vhdblk.sh"
	# Or the initramfs would not be there to detach the root's disk.
	need_shutdown
}

vhdblk_parse
unset vhdblk_wanted vhdblk_spec VHD_FSTYPE VHD_FLAGS
