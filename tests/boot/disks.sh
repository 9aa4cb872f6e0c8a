# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # sourced by "system", which has set the rest
# The system's disk, its parent and its child; where they lie; and what is left of them.
#
#   $top/b   disk B, ext4: /golden/golden.vhd, the system
#   $top/a   disk A: its child, leaf.vhd

inner_uuid=6e6a3a6b-76a5-4a0c-9a59-0d5b7ab1c0de
inner_start=1048576

# install_module KERNEL FILE: as DKMS does
install_module() {
	install -D -m 644 "$2" "$top/root/usr/lib/modules/$1/updates/dkms/vhdblk.ko"
	in_chroot "$top/root" depmod "$1"
}

# What a user does to a system that is to go into a VHD.
prepare_tree() {
	local root=$top/root
	install_module "$kernel" build/oldstable/vhdblk.ko
	tools/scripts/tools-install "$root/usr" "$root/etc"
	tools/scripts/boot-install "$root"
	echo "UUID=$inner_uuid / ext4 defaults 0 1" > "$root/etc/fstab"
	echo vhdboot > "$root/etc/hostname"
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants" "$root/var/boots"
	cp -r tests/packages/etc/systemd/system.conf.d "$root/etc/systemd"
	cp tests/boot/look.service "$root/etc/systemd/system"
	ln -s /etc/systemd/system/look.service \
		"$root/etc/systemd/system/multi-user.target.wants"
	cp tests/boot/look "$root/root/look"
	# Without D-Bus it starts consoles in a way that an emulated machine is too slow for.
	ln -s /dev/null "$root/etc/systemd/system/getty-static.service"
	"initramfs_by_$kind"
}

initramfs_by_initramfs-tools() {
	in_chroot "$top/root" update-initramfs -c -k "$kernel"
}

# A chroot is not in a VHD: dracut has to be told what for, as the guide does.
initramfs_by_dracut() {
	printf '%s\n' 'add_dracutmodules+=" vhdblk "' 'hostonly=no' \
		> "$top/root/etc/dracut.conf.d/vhdblk.conf"
	in_chroot "$top/root" dracut --force --regenerate-all
}

# A disk with a partition, and the system on that.
make_golden() { # FILE
	local raw=$top/golden.raw
	mkfs.ext4 -q -F -U "$inner_uuid" -E "offset=$inner_start" -d "$top/root" "$raw" 3070M
	truncate -s 3G "$raw"
	echo "start=$((inner_start / 512)), type=linux" | sfdisk -q --label gpt "$raw"
	build/vhdctl convert "$raw" "$1"
	rm "$raw"
}

make_disks() {
	mkdir -p "$top/fs/b/golden" "$top/fs/a/vm" "$top/out"
	make_golden "$top/fs/b/golden/golden.vhd"
	build/vhdctl create --parent "$top/fs/b/golden/golden.vhd" "$top/fs/a/vm/leaf.vhd"
	sha256sum < "$top/fs/b/golden/golden.vhd" > "$top/golden.sum"
	cp "$top/fs/a/vm/leaf.vhd" "$top/leaf.vhd"
	mkfs.ext4 -q -F -L b -d "$top/fs/b" "$top/b" 2G
	rm "$top/fs/b/golden/golden.vhd"
}

# fresh_leaf TYPE: disk A as it was before the first boot; $leaf is the file on it
fresh_leaf() {
	type=$1 leaf=/leaf.vhd
	rm -f "$top/a"
	truncate -s 3G "$top/a"
	"with_$type" > "$top/mkfs.log" 2>&1 || { cat "$top/mkfs.log"; return 1; }
}

with_xfs() {
	leaf=/vm/leaf.vhd
	printf '%s\n' / '0 0' 'd--755 0 0' 'vm d--755 0 0' \
		"leaf.vhd ---644 0 0 $top/leaf.vhd" '$' '$' > "$top/proto"
	mkfs.xfs -q -L a -p "$top/proto" "$top/a"
}

with_ntfs() {
	mkntfs -q -F -f -L a "$top/a" && ntfscp -q "$top/a" "$top/leaf.vhd" leaf.vhd
}

with_exfat() {
	mkfs.exfat -L a "$top/a" && python3 tests/boot/exfat.py "$top/a" "$top/leaf.vhd"
}

# from DISK PATH: as $top/out/NAME; GRUB reads them all, and mounts none
from() {
	local name=${2##*/}
	rm -f "$top/out/$name"
	grub-fstest "$top/$1" cp "(loop0)$2" "$top/out/$name"
	[ -s "$top/out/$name" ]
}

sum_of() { # DISK PATH
	from "$1" "$2" && sha256sum < "$top/out/${2##*/}"
}

clean_xfs() {
	xfs_logprint -t "$top/a" 2>&1 | grep 'state: ' | tee "$top/state"
	grep -q 'state: <CLEAN>' "$top/state" && xfs_repair -n "$top/a" > "$top/state" 2>&1
}

clean_ntfs() {
	ntfsfix -n "$top/a" > "$top/state" &&
		ntfsinfo -m -f "$top/a" | grep 'Volume Flags: 0x0000'
}

# The boot sector has a flag for "not unmounted".
clean_exfat() {
	[ "$(od -An -tx2 -j106 -N2 "$top/a")" = " 0000" ] &&
		fsck.exfat -n "$top/a" 2>&1 | grep ': clean'
}

same_golden() {
	sum_of b /golden/golden.vhd | cmp - "$top/golden.sum"
}

inner_clean() { # FILE...: the chain, leaf first
	local raw=$top/out/inner.raw parents=() file
	for file in "${@:2}"; do
		parents+=(--parent "$file")
	done
	rm -f "$raw"
	build/vhdctl convert -t raw "${parents[@]}" "$1" "$raw" || return 1
	clean "$raw?offset=$inner_start" && e2fsck -f -n "$raw?offset=$inner_start" > /dev/null
}

# look_at_disks TEXT [CHILD]: what a system has left that has shut down
look_at_disks() {
	local text=$1 chain=("$top/out/leaf.vhd" "$top/out/golden.vhd")
	check "$text: the file system of the leaf is clean" "clean_$type"
	check "$text: that of the parent, too" clean "$top/b"
	check "$text: the parent is what it was" same_golden
	check "$text: the leaf can be read" from a "$leaf"
	if [ -n "${2:-}" ]; then
		check "$text: so can the child" from a "$2"
		chain=("$top/out/${2##*/}" "${chain[@]}")
	fi
	check "$text: vhdctl check finds nothing" good_chain "${chain[@]}"
	check "$text: the system's own file system is clean" inner_clean "${chain[@]}"
	rm -f "$top"/out/*
}

good_chain() { # FILE...
	local parents=() file
	for file in "${@:2}"; do
		parents+=(--parent "$file")
	done
	build/vhdctl check "${parents[@]}" "$1"
}
