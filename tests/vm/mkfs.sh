# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# A file system with many small files on a differencing device.

make_fs() {
	case $1 in
	ext4) mkfs.ext4 -q "$2" ;;
	xfs) mkfs.xfs -q "$2" ;;
	btrfs) mkfs.btrfs -q "$2" ;;
	esac
}

check_fs() {
	case $1 in
	ext4) fsck.ext4 -f -n "$2" ;;
	xfs) xfs_repair -n "$2" ;;
	btrfs) btrfs check "$2" ;;
	esac
}

# small_files TYPE: half of the files go into the parent, all are in the child
small_files() {
	local type=$1 nr=10000
	modprobe -q "$type" || grep -qw "$type" /proc/filesystems ||
		skip "no $type in this kernel"
	scratch ext4
	mkdir -p /mnt/fs /tmp/files
	create /scratch/base.vhd -t dynamic -s 1G
	attach /scratch/base.vhd
	make_fs "$type" "$dev"
	files make /tmp/files $nr
	mount -t "$type" "$dev" /mnt/fs
	cp -a /tmp/files/d00? /tmp/files/d01? /mnt/fs
	umount /mnt/fs
	detach "$dev"
	clean_check /scratch/base.vhd

	create /scratch/leaf.vhd --parent /scratch/base.vhd
	attach /scratch/leaf.vhd
	mount -t "$type" "$dev" /mnt/fs
	cp -a /tmp/files/. /mnt/fs
	rm -rf /tmp/files
	sync
	umount /mnt/fs
	detach "$dev"
	clean_check /scratch/leaf.vhd

	attach /scratch/leaf.vhd
	expect_exit 0 check_fs "$type" "$dev"
	mount -t "$type" "$dev" /mnt/fs
	check "$type: $nr files as they were" files check /mnt/fs $nr
	fstrim /mnt/fs
	umount /mnt/fs
	detach "$dev"
	clean_check /scratch/leaf.vhd /scratch/base.vhd
	attach -r /scratch/leaf.vhd
	expect_exit 0 check_fs "$type" "$dev"
	detach "$dev"
}
