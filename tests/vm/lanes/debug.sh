# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Kernels that check themselves: Debian's 6.1 source, a minimal configuration. "debug"
# has every checker but KCSAN, which excludes KASAN; "kcsan" has that one.
# Kept by source version and configuration; an interrupted build goes on.

DEBUG_CONFIG=$HERE/debug.config

setup_debug() {
	debug_setup debug
}

setup_kcsan() {
	mkdir -p "$CACHE/debug"
	debug_setup kcsan
}

debug_setup() {
	local lane=$1 tarball version key dir
	fresh "$lane" && [ "$(meta "$lane" config)" = "$(debug_hash "$lane")" ] && return
	need gcc make bc bison flex libelf-dev libssl-dev xz-utils rsync kmod
	# The source is common to both; whoever sets up debug has its lock.
	if [ "$lane" = debug ]; then debug_source; else with_lock debug debug_source; fi
	tarball=$(debug_tarball)
	version=$(basename "$tarball")
	version=${version#linux-source-}
	version=${version%.tar.xz}
	key=$version-$(debug_hash "$lane")
	dir=$CACHE/$lane/$key
	if [ -e "$dir/meta" ]; then
		use "$lane" "$key"
	else
		debug_unpack "$tarball" "$dir"
		debug_build "$lane" "$dir" "$key"
	fi
}

# debug_wanted LANE: its configuration; what kcsan.config names replaces the others'.
debug_wanted() {
	[ "$1" != debug ] || {
		cat "$DEBUG_CONFIG"
		return
	}
	awk 'match($0, /CONFIG_[A-Z0-9_]+/) && /^(# )?CONFIG_/ { name = substr($0, RSTART, RLENGTH) }
		!match($0, /^(# )?CONFIG_/) { next }
		NR == FNR { ours[name]; print; next }
		!(name in ours)' "$HERE/$1.config" "$DEBUG_CONFIG"
}

debug_hash() {
	{ debug_wanted "$1" && gcc -dumpfullversion; } | sha256sum | cut -c1-12
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
	local lane=$1 dir=$2 key=$3 src=$2/src log=$2/build.log wanted=$2/wanted kernel

	debug_wanted "$lane" >"$wanted"
	quietly "$log" make -s -C "$src" KCONFIG_ALLCONFIG="$wanted" allnoconfig
	debug_check_config "$src/.config" "$wanted"
	echo "lane: $lane: building the kernel, once (6 to 14 minutes)" >&2
	quietly "$log" nice make -s -j2 -C "$src" bzImage modules
	quietly "$log" make -s -C "$src" INSTALL_MOD_PATH="$dir" modules_install
	kernel=$(make -s -C "$src" kernelrelease)
	# Objects are the bulk of it, and a module build reads none of them.
	find "$src" \( -name '*.o' -o -name '*.a' -o -name '*.ko' \) \
		! -path '*/scripts/*' ! -path '*/tools/*' -delete
	adopt "$lane" "$key" "kernel=$kernel" "config=$(debug_hash "$lane")" \
		"vmlinuz=$src/arch/x86/boot/bzImage" "modules=$dir/lib/modules/$kernel" \
		"kdir=$src"
}

# An option whose dependency is missing vanishes without a word.
debug_check_config() {
	local config=$1 wanted=$2 line name lost=()

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
	done <"$wanted"
	[ ${#lost[@]} = 0 ] || die "the configuration lost: ${lost[*]}"
}
