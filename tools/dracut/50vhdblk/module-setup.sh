#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# shellcheck disable=SC2154 # moddir is dracut's
# Disks of VHD files, named by rd.vhd= on the kernel's command line: vhdblk-boot(7).

is_vhd() { # MAJ:MIN
	[ -e "/sys/dev/block/$1/vhd" ] || [ -e "/sys/dev/block/$1/../vhd" ]
}

# An image for this machine has it if the root is on one, and one for any always.
check() {
	require_binaries vhdctl blkid readlink sed || return 1
	if [[ ${hostonly:-} || ${mount_needs:-} ]]; then
		for_each_host_dev_and_slaves is_vhd || return 255
	fi
	return 0
}

depends() {
	echo base udev-rules
}

# Drivers of the disks that hold the files: the root does not lead to them.
host_drivers() {
	local device dir rest
	while read -r device dir rest; do
		[[ $dir == */vhd/host/* && -b $device ]] || continue
		modules_of "$(udevadm info -q path -n "$device")"
	done < /proc/mounts
}

modules_of() { # PATH BELOW /sys
	local dir=/sys$1 slave
	for slave in "$dir"/slaves/* "$dir"/../slaves/*; do
		[[ ! -e $slave ]] || modules_of "$(udevadm info -q path -p "$slave")"
	done
	while [[ $dir == /sys/devices/* ]]; do
		[[ ! -e $dir/driver/module ]] || basename "$(readlink -f "$dir/driver/module")"
		dir=${dir%/*}
	done
}

installkernel() {
	local driver
	hostonly='' instmods vhdblk
	hostonly='' instmods -o ext4 xfs btrfs exfat vfat ntfs3 ntfs fuse nls_utf8 nls_iso8859-1
	for driver in $(host_drivers | sort -u); do
		hostonly='' instmods -o "$driver"
	done
	# In an image for any machine kernel-modules has the drivers of all disks.
	return 0
}

install() {
	# All that vhdblk-boot calls: dracut has no grep, nor cat.
	inst_multiple vhdctl blkid cat ln mkdir modprobe mount mv readlink rm rmdir sed umount uname
	inst_multiple -o ntfs-3g mount.ntfs-3g
	inst_simple /usr/lib/vhdblk/vhdblk-boot
	inst_simple /usr/lib/vhdblk/boot-disk.sh
	inst_rules 60-vhdblk.rules
	inst_hook cmdline 30 "$moddir/parse-vhdblk.sh"
	inst_hook initqueue/timeout 50 "$moddir/vhdblk-give-up.sh"
	inst_hook shutdown 20 "$moddir/vhdblk-shutdown.sh"
	dracut_need_initqueue
}
