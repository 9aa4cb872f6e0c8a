# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Functions for cases that make and attach images; source it behind lib.sh.

# mkvhd COMMAND...: the oracle, as quiet as it was successful.
mkvhd() {
	/usr/bin/python3 tests/images/mkvhd.py "$@"
}

# mixed DIR ARG...: a random chain; prints the path of its leaf.
mixed() {
	local dir=$1
	mkvhd mixed "$@" >/dev/null
	echo "$dir/$(jq -r .leaf "$dir/manifest.json")"
}

# attach ARG...: like vhdctl attach, with the device in $dev.
attach() {
	dev=$(vhdctl attach "$@") || return $?
	wait_dev "$dev"
}

detach() {
	vhdctl detach "$@"
}

# create FILE ARG...: a new image.
create() {
	local file=$1
	shift
	vhdctl create "$@" "$file"
}

# counter DEV NAME: from vhdctl status.
counter() {
	vhdctl status --json "$1" | jq ".counters[\"$2\"]"
}

# uses FILE: KiB that the file system holds for it.
uses() {
	du -k "$1" | cut -f1
}

# footers_equal FILE: the copy at 0 and the end agree.
footers_equal() {
	cmp <(head -c 512 "$1") <(tail -c 512 "$1")
}

# noise_of BYTES: what no hole and no zero can be mistaken for
noise_of() {
	openssl enc -aes-128-ctr -nosalt -K 0123456789abcdef0123456789abcdef \
		-iv 00000000000000000000000000000000 -in /dev/zero 2>/dev/null |
		head -c "$1"
}

# noise BYTES FILE [POSITION]: the same, written there
noise() {
	noise_of "$1" | dd of="$2" bs=64K seek="${3:-0}" iflag=fullblock \
		oflag=seek_bytes conv=notrunc,fsync status=none
}

# on_device FILE DEVICE: the image, with its footer at the device's end
on_device() {
	local size
	size=$(stat -c %s "$1")
	head -c $((size - 512)) "$1" | dd of="$2" bs=64K iflag=fullblock status=none
	tail -c 512 "$1" | dd of="$2" bs=512 status=none \
		seek=$(($(blockdev --getsz "$2") - 1))
	sync
}

# refuses CMD...: it fails, and that is right
refuses() {
	! "$@" >/dev/null 2>&1
}

clean_check() {
	local file
	for file; do
		expect_exit 0 vhdctl check "$file"
	done
}
