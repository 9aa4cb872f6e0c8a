# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Debian systems, each as a user has it who is about to move it into a VHD. Cached, and
# named by what is in them; tests write into an overlay.

# What vhdctl is linked with, and what looks at the system from inside.
extra=(busybox e2fsprogs kmod libmnl0 libsmartcols1 liburing2 libuuid1 ntfs-3g
	systemd-sysv udev)

# tree_of KIND: dracut or initramfs-tools
tree_of() {
	local what
	what="$1 ${extra[*]} $(meta oldstable version)"
	echo "$CACHE/boot/$1-$(md5sum <<< "$what" | cut -c1-8)"
}

# The package of the kernel that the system is to be upgraded to.
new_kernel() {
	echo "$CACHE/boot/linux-image-$(meta cloud version).deb"
}

fetch_kernel() {
	local file dir=$CACHE/boot/new
	file=$(new_kernel)
	[ ! -e "$file" ] || return 0
	rm -rf "$CACHE"/boot/linux-image-* "$dir"
	mkdir -p "$dir"
	(cd "$dir" && fetch "$CACHE/boot/kernel.log" apt_private "$CACHE/cloud/apt" -qq download \
		"linux-image-$(meta cloud version)") || return 1
	mv "$dir"/*.deb "$file"
}

# make_tree KIND: with the kernel that the oldstable lane has, and its own initramfs
make_tree() {
	local tree log=$CACHE/boot/$1.log
	tree=$(tree_of "$1")
	[ ! -e "$tree/ready" ] || return 0
	mkdir -p "$CACHE/boot"
	as_root rm -rf --one-file-system "$CACHE/boot/$1"-* || return 1
	fetch "$log" as_root debootstrap --variant=minbase --include=ca-certificates \
		bookworm "$tree" "$(mirror)" || return 1
	as_root tee "$tree/etc/apt/sources.list.d/security.list" > /dev/null \
		<<< "deb $(security_mirror) bookworm-security main" || return 1
	fetch "$log" in_chroot "$tree" apt-get -qq update || return 1
	# Its initramfs comes with the module: this one nobody would use.
	fetch "$log" in_chroot "$tree" env INITRD=No apt-get -qq install -y \
		--no-install-recommends "${extra[@]}" "$1" \
		"linux-image-$(meta oldstable version)" || return 1
	as_root rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*
	as_root touch "$tree/ready"
}
