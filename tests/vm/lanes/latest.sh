# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The newest kernel Debian packages: trixie-backports.  Its headers want gcc-14,
# so they live in a small trixie and the module is built in there.

LATEST_TOOLS=make,gcc-14,kmod,ca-certificates

setup_latest() {
	local chroot=$CACHE/latest/trixie version
	fresh latest && return
	need debootstrap rsync xz-utils kmod
	[ -e "$chroot/ready" ] || latest_bootstrap "$chroot"
	if ! fetch "$CACHE/latest/update.log" in_chroot "$chroot" apt-get -qq update; then
		[ -e "$CACHE/latest/current/meta" ] || die "latest: no package lists"
		echo "lane: latest: lists not refreshed, keeping $(meta latest version)" >&2
		return
	fi
	version=$(chroot_newest "$chroot" linux-headers-amd64 'linux-headers-[0-9].*')
	version=${version#linux-headers-}
	[ -n "$version" ] || die "latest: no linux-headers-amd64 in trixie-backports"
	if [ -e "$CACHE/latest/$version/meta" ]; then
		use latest "$version"
	else
		latest_fetch "$chroot" "$version"
	fi
}

latest_bootstrap() {
	local chroot=$1 tmp=$CACHE/latest/trixie.new uri
	uri=$(mirror)
	as_root rm -rf --one-file-system "$tmp"
	fetch "$CACHE/latest/debootstrap.log" as_root debootstrap --variant=minbase \
		--include="$LATEST_TOOLS" trixie "$tmp" "$uri" ||
		die "latest: debootstrap failed (log: $CACHE/latest/debootstrap.log)"
	as_root tee "$tmp/etc/apt/sources.list.d/backports.list" >/dev/null <<<"deb $uri trixie-backports main"
	as_root tee "$tmp/etc/apt/apt.conf.d/90lane" >/dev/null <<-END
		Acquire::http::Timeout "60";
		Acquire::Languages "none";
		APT::Install-Recommends "false";
		DPkg::Options { "--force-unsafe-io"; };
	END
	as_root touch "$tmp/ready"
	as_root rm -rf --one-file-system "$chroot"
	as_root mv "$tmp" "$chroot"
}

# in_chroot DIR CMD...: the mounts are private and vanish with the command, so
# deleting the chroot can never reach them.
in_chroot() {
	local dir=$1
	shift
	# shellcheck disable=SC2016 # expanded inside
	as_root env BUILD_DIR="${BUILD_DIR:-}" unshare -m sh -eu -c 'd=$1; shift
		mount -t proc proc "$d/proc"
		mount --bind /dev "$d/dev"
		[ -z "${BUILD_DIR:-}" ] || { mkdir -p "$d/build"; mount --bind "$BUILD_DIR" "$d/build"; }
		cp /etc/resolv.conf "$d/etc/resolv.conf" 2>/dev/null || :
		[ ! -e /etc/hosts ] || cp /etc/hosts "$d/etc/hosts"
		exec chroot "$d" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C \
			DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} "$@"' \
		in_chroot "$dir" "$@"
}

# chroot_newest DIR PACKAGE REGEX
chroot_newest() {
	in_chroot "$1" apt-cache -t trixie-backports show --no-all-versions "$2" 2>/dev/null |
		awk -F': ' '$1 == "Depends" || $1 == "Pre-Depends" { print $2 }' |
		tr ',|' '\n' | sed 's/^ *//; s/ .*//' | grep -E "^$3\$" | head -n 1
}

# latest_fetch CHROOT VERSION: the image is unpacked only, wherever the
# packages of this release keep the kernel and its modules.
latest_fetch() {
	local chroot=$1 version=$2 dir=$CACHE/latest/$2 log=$CACHE/latest/install.log
	local image=linux-image-$2 parts vmlinuz modules

	fetch "$log" in_chroot "$chroot" apt-get -qq install -y -t trixie-backports \
		"linux-headers-$version" || die "latest: cannot install its headers (log: $log)"
	parts=$(in_chroot "$chroot" apt-cache depends "$image" |
		sed -n 's/.*Depends: \(linux-\(base\|binary\|modules\|image\)-[0-9][^ ]*\)$/\1/p' | sort -u)
	as_root rm -rf "$chroot/debs" "$dir"
	# shellcheck disable=SC2086 # a list of package names
	fetch "$log" in_chroot "$chroot" sh -c 'mkdir /debs && cd /debs && apt-get -qq download "$@"' \
		download "$image" $parts || die "latest: cannot download $image (log: $log)"
	mkdir -p "$dir"
	for deb in "$chroot"/debs/*.deb; do
		dpkg -x "$deb" "$dir"
	done
	as_root rm -rf "$chroot/debs"
	[ -d "$dir/lib/modules" ] || ln -sfn usr/lib "$dir/lib"
	vmlinuz=$(find "$dir" -name "vmlinuz*" -type f | head -n 1)
	modules=$dir/lib/modules/$version
	if [ -z "$vmlinuz" ] || [ ! -d "$modules" ]; then
		die "latest: no kernel in $image $parts"
	fi
	depmod -b "$dir" "$version"
	adopt latest "$version" "kernel=$version" "vmlinuz=$vmlinuz" "modules=$modules" \
		"chroot=$chroot" "kdir=/usr/src/linux-headers-$version"
	in_chroot "$chroot" apt-get -qq clean
}

# chroot_make CHROOT SRC KDIR [ARG...]
chroot_make() {
	local chroot=$1 src=$2 kdir=$3
	shift 3
	BUILD_DIR=$src in_chroot "$chroot" nice make -j2 -C "$kdir" M=/build "$@" modules
}
