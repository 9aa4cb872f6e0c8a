# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Lanes whose packages fit this release: oldstable, cloud, xen and backports.  Kernel and
# headers are unpacked into the cache; nothing is installed on the machine.

setup_oldstable() {
	fresh oldstable || debian_lane oldstable \
		bookworm "$(mirror)" bookworm-security "$(security_mirror)"
}

# The same version as oldstable's, configured for virtual machines: what a system that has
# the other can be given as a new kernel.
setup_cloud() {
	fresh cloud || debian_lane cloud \
		bookworm "$(mirror)" bookworm-security "$(security_mirror)"
}

# The same kernel as oldstable's, below a hypervisor.
setup_xen() {
	fresh xen || debian_lane xen \
		bookworm "$(mirror)" bookworm-security "$(security_mirror)"
}

setup_backports() {
	fresh backports || debian_lane backports bookworm-backports "$(mirror)"
}

# debian_lane LANE SUITE URI...
debian_lane() {
	local lane=$1 apt=$CACHE/$1/apt name=linux-image-amd64 image version
	shift
	need gcc-12 make rsync xz-utils kmod libelf1
	if ! apt_setup "$apt" "$@"; then
		[ -e "$CACHE/$lane/current/meta" ] || die "$lane: no package lists"
		echo "lane: $lane: lists not refreshed, keeping $(meta "$lane" version)" >&2
		return
	fi
	[ "$lane" != cloud ] || name=linux-image-cloud-amd64
	image=$(newest "$apt" "$name" 'linux-image-[0-9].*')
	[ -n "$image" ] || die "$lane: no $name in its suites"
	version=${image#linux-image-}
	if [ -e "$CACHE/$lane/$version/meta" ]; then
		use "$lane" "$version"
	else
		debian_fetch "$lane" "$version"
	fi
}

# debian_fetch LANE VERSION
debian_fetch() {
	local lane=$1 version=$2 apt=$CACHE/$1/apt dir=$CACHE/$1/$2
	local common kbuild tmp=$CACHE/$1/new kdir more=()

	common=$(newest "$apt" "linux-headers-$version" 'linux-headers-.*-common')
	kbuild=$(newest "$apt" "linux-headers-$version" 'linux-kbuild-.*')
	if [ -z "$common" ] || [ -z "$kbuild" ]; then
		die "$lane: headers of $version not found"
	fi
	rm -rf "$tmp" "$dir"
	deb_unpack "$apt" "$tmp" "linux-image-$version" "linux-headers-$version" \
		"$common" "$kbuild"
	if [ "$lane" = xen ]; then
		deb_unpack "$apt" "$tmp" "$(newest "$apt" xen-system-amd64 'xen-hypervisor-[0-9].*')"
		# QEMU boots an ELF file, not a compressed one.
		gzip -dc "$tmp"/boot/xen-*.gz > "$tmp/boot/hypervisor"
		more=("hypervisor=$dir/boot/hypervisor")
	fi
	mv "$tmp" "$dir"
	# The packages name each other by absolute path.
	kdir=$dir/usr/src/linux-headers-$version
	sed -i "s|/usr/src/linux-headers|$dir&|g" "$kdir/Makefile"
	relink "$dir"
	[ -d "$dir/lib/modules" ] || ln -sfn usr/lib "$dir/lib"
	depmod -b "$dir" "$version"
	adopt "$lane" "$version" "kernel=$version" "vmlinuz=$dir/boot/vmlinuz-$version" \
		"modules=$dir/lib/modules/$version" "kdir=$kdir" "${more[@]}"
	rm -rf "$apt/cache"
}

# relink DIR: absolute links inside the unpacked headers point at the machine.
relink() {
	local dir=$1 link to
	find "$dir/usr/src" "$dir"/lib/modules "$dir"/usr/lib/modules -type l 2>/dev/null |
		while read -r link; do
			to=$(readlink "$link")
			case $to in
			/*) ln -sfn "$dir$to" "$link" ;;
			esac
		done
}
