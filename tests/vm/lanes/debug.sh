# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# The debug kernel: Debian's 6.1 source, a minimal configuration, every checker.
# Kept by source version and configuration; an interrupted build goes on.

DEBUG_CONFIG=$HERE/debug.config

setup_debug() {
	local tarball version key dir
	fresh debug && [ "$(meta debug config)" = "$(debug_hash)" ] && return
	need gcc make bc bison flex libelf-dev libssl-dev xz-utils rsync kmod
	debug_source
	tarball=$(debug_tarball)
	version=$(basename "$tarball")
	version=${version#linux-source-}
	version=${version%.tar.xz}
	key=$version-$(debug_hash)
	dir=$CACHE/debug/$key
	if [ -e "$dir/meta" ]; then
		use debug "$key"
	else
		debug_unpack "$tarball" "$dir"
		debug_build "$dir" "$key"
	fi
}

debug_hash() {
	{ cat "$DEBUG_CONFIG" && gcc -dumpfullversion; } | sha256sum | cut -c1-12
}

debug_tarball() {
	find "$CACHE/debug" -maxdepth 1 -name 'linux-source-*.tar.xz' | sort -V | tail -n 1
}

# The newest source package; an older copy serves when there is no network.
debug_source() {
	local apt=$CACHE/debug/apt version tmp=$CACHE/debug/apt/unpacked

	if ! apt_setup "$apt" bookworm "$(mirror)" bookworm-security "$(security_mirror)"; then
		[ -n "$(debug_tarball)" ] || die "debug: no package lists"
		return
	fi
	version=$(cache_private "$apt" show --no-all-versions linux-source-6.1 |
		sed -n 's/^Version: //p' | head -n 1)
	[ ! -e "$CACHE/debug/linux-source-$version.tar.xz" ] || return 0
	rm -rf "$tmp"
	deb_unpack "$apt" "$tmp" linux-source-6.1
	mv "$tmp/usr/src/linux-source-6.1.tar.xz" "$CACHE/debug/linux-source-$version.tar.xz"
	rm -rf "$tmp" "$apt/cache"
	# The build that used an older source is complete; only the newest is needed.
	find "$CACHE/debug" -maxdepth 1 -name 'linux-source-*.tar.xz' \
		! -name "linux-source-$version.tar.xz" -delete
}

debug_unpack() {
	[ ! -e "$2/unpacked" ] || return 0
	rm -rf "$2"
	mkdir -p "$2/src"
	tar -C "$2/src" --strip-components=1 -xf "$1"
	touch "$2/unpacked"
}

debug_build() {
	local dir=$1 key=$2 src=$1/src log=$1/build.log kernel

	quietly "$log" make -s -C "$src" KCONFIG_ALLCONFIG="$DEBUG_CONFIG" allnoconfig
	debug_check_config "$src/.config"
	echo "lane: debug: building the kernel, once (6 to 14 minutes)" >&2
	quietly "$log" nice make -s -j2 -C "$src" bzImage modules
	quietly "$log" make -s -C "$src" INSTALL_MOD_PATH="$dir" modules_install
	kernel=$(make -s -C "$src" kernelrelease)
	# Objects are the bulk of it, and a module build reads none of them.
	find "$src" \( -name '*.o' -o -name '*.a' -o -name '*.ko' \) \
		! -path '*/scripts/*' ! -path '*/tools/*' -delete
	adopt debug "$key" "kernel=$kernel" "config=$(debug_hash)" \
		"vmlinuz=$src/arch/x86/boot/bzImage" "modules=$dir/lib/modules/$kernel" \
		"kdir=$src"
}

# An option whose dependency is missing vanishes without a word.
debug_check_config() {
	local config=$1 line name lost=()

	while read -r line; do
		case $line in
		'# CONFIG_'*' is not set')
			name=${line#\# }
			! grep -q "^${name%% *}=" "$config" || lost+=("$line")
			;;
		CONFIG_*)
			grep -qxF -- "$line" "$config" || lost+=("$line")
			;;
		esac
	done <"$DEBUG_CONFIG"
	[ ${#lost[@]} = 0 ] || die "debug: the configuration lost: ${lost[*]}"
}
