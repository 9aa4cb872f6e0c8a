# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What every kernel lane needs: the cache, locks, packages and downloads.
#
# A lane is $CACHE/LANE/VERSION/ with a file `meta` of KEY=VALUE lines, written
# last; $CACHE/LANE/current points at the version in use.

CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vhdblk
# How long a lane is used before a newer package is looked for.
FRESH_DAYS=${VHDBLK_FRESH_DAYS:-7}

die() {
	echo "lane: $*" >&2
	exit 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# with_lock NAME CMD...: one process at a time across all runs on this machine.
with_lock() {
	local name=$1 fd rc
	shift
	mkdir -p "$CACHE"
	exec {fd}>"$CACHE/.lock.$name"
	flock "$fd"
	# Not "|| rc=$?": that would switch off -e in CMD.  The descriptor is closed
	# so that children which outlive CMD do not keep the lock.
	set +e
	(
		set -e
		"$@"
	) {fd}>&-
	rc=$?
	set -e
	exec {fd}>&-
	return "$rc"
}

# quietly LOG CMD...: run CMD into LOG, show the end of it only on failure.
quietly() {
	local log=$1
	shift
	if ! "$@" >"$log" 2>&1; then
		tail -n 40 "$log" >&2
		die "failed: $* (log: $log)"
	fi
}

# fetch LOG CMD...: like quietly, once more if the network timed out.
fetch() {
	local log=$1
	shift
	"$@" >"$log" 2>&1 && return
	if grep -qiE 'timed? ?out|temporary failure|connection (failed|reset)' "$log"; then
		sleep 5
	else
		tail -n 20 "$log" >&2
		return 1
	fi
	"$@" >"$log" 2>&1 || {
		tail -n 20 "$log" >&2
		return 1
	}
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_install() {
	local log=$CACHE/.apt-install.log opts=(-qq -o DPkg::Lock::Timeout=600)

	fetch "$log" as_root apt-get "${opts[@]}" update ||
		echo "lane: package lists not refreshed, going on with the old ones" >&2
	fetch "$log" as_root env DEBIAN_FRONTEND=noninteractive apt-get "${opts[@]}" \
		install -y --no-install-recommends "$@" ||
		die "cannot install: $*"
}

# need PACKAGE...: install what is missing on this machine.
need() {
	local p missing=()
	for p in "$@"; do
		installed "$p" || missing+=("$p")
	done
	[ ${#missing[@]} = 0 ] || with_lock packages apt_install "${missing[@]}"
}

# debian_uri SUITE: where this machine gets Debian from.
debian_uri() {
	local uri
	# shellcheck disable=SC2016 # a format of apt's
	uri=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
		'Created-By: Packages' 2>/dev/null |
		awk -v s="$1" '$1 == s && $2 == "main" { print $3; exit }')
	echo "${uri:-$2}"
}

mirror() {
	debian_uri bookworm "${DEBIAN_MIRROR:-http://deb.debian.org/debian/}"
}

security_mirror() {
	debian_uri bookworm-security \
		"${DEBIAN_SECURITY:-http://deb.debian.org/debian-security/}"
}

# A private apt: the user's sources and the installed packages play no part.
apt_private() {
	local dir=$1
	shift
	apt-get -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$dir/state" -o Dir::State::status="$dir/status" \
		-o Dir::Cache="$dir/cache" -o APT::Sandbox::User="$(id -un)" \
		-o APT::Default-Release= -o Acquire::http::Timeout=60 -o Acquire::Retries=0 \
		"$@"
}

cache_private() {
	local dir=$1
	shift
	apt-cache -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State="$dir/state" -o Dir::State::status="$dir/status" \
		-o Dir::Cache="$dir/cache" "$@"
}

# apt_setup DIR SUITE URI [SUITE URI]...: make the private apt and its lists.
apt_setup() {
	local dir=$1 key=/usr/share/keyrings/debian-archive-keyring.gpg
	shift
	mkdir -p "$dir/state/lists/partial" "$dir/cache/archives/partial"
	: >"$dir/status"
	: >"$dir/sources.list"
	while [ $# -gt 0 ]; do
		echo "deb [signed-by=$key arch=amd64] $2 $1 main" >>"$dir/sources.list"
		shift 2
	done
	fetch "$dir/update.log" apt_private "$dir" -qq update
}

# newest DIR PACKAGE REGEX: the dependency of PACKAGE that matches REGEX.
newest() {
	cache_private "$1" show --no-all-versions "$2" 2>/dev/null |
		awk -F': ' '$1 == "Depends" || $1 == "Pre-Depends" { print $2 }' |
		tr ',|' '\n' | sed 's/^ *//; s/ .*//' | grep -E "^$3\$" | head -n 1
}

# deb_unpack DIR INTO PACKAGE...: download and unpack, install nothing.
deb_unpack() {
	local dir=$1 into=$2 deb
	shift 2
	rm -rf "$dir/debs"
	mkdir -p "$dir/debs" "$into"
	(cd "$dir/debs" && fetch "$dir/download.log" apt_private "$dir" -qq download "$@") ||
		die "cannot download: $*"
	for deb in "$dir"/debs/*.deb; do
		dpkg -x "$deb" "$into" || die "cannot unpack $deb"
	done
	rm -rf "$dir/debs"
}

# fresh LANE: is there a kernel, and was it the newest not long ago?
fresh() {
	local meta=$CACHE/$1/current/meta
	[ -e "$meta" ] && [ -z "$(find "$CACHE/$1/checked" -mtime "+$FRESH_DAYS" 2>/dev/null)" ]
}

# adopt LANE VERSION KEY=VALUE...: make a finished directory the current one.
adopt() {
	local lane=$1 version=$2 dir=$CACHE/$1/$2
	shift 2
	printf '%s\n' "version=$version" "$@" >"$dir/meta.new"
	mv "$dir/meta.new" "$dir/meta"
	use "$lane" "$version"
}

# use LANE VERSION: switch to it and drop versions unused for two weeks.
use() {
	local lane=$1 version=$2
	ln -sfn "$version" "$CACHE/$lane/current.new"
	mv -T "$CACHE/$lane/current.new" "$CACHE/$lane/current"
	touch "$CACHE/$lane/checked" "$CACHE/$lane/$version"
	find "$CACHE/$lane" -mindepth 1 -maxdepth 1 -type d -mtime +14 \
		! -name "$version" ! -name 'apt*' ! -name 'trixie*' -exec rm -rf {} +
}

# meta LANE KEY
meta() {
	sed -n "s/^$2=//p" "$CACHE/$1/current/meta" 2>/dev/null
}
