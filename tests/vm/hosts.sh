# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Functions for cases in which somebody else serves disks to others; source it behind
# vhd.sh.

# start_udev: as on a host that has our rules
start_udev() {
	mkdir -p /run/udev/rules.d
	cp tools/udev/60-vhdblk.rules /run/udev/rules.d
	/lib/systemd/systemd-udevd --daemon
	udevadm control --ping
}

# The database in /run would tell later cases of devices that are no more.
stop_udev() {
	udevadm control --exit
	rm -rf /run/udev
}

# host_files: /srv/vhd, where the guides have their files, on a file system of its own
host_files() {
	scratch ext4
	mkdir -p /srv/vhd
	mount --bind /scratch /srv/vhd
	mountpoint -q /sys/kernel/config || mount -t configfs none /sys/kernel/config
}

# golden FILE SIZE: a dynamic image whose first 32 MiB are noise
golden() {
	create "$1" -t dynamic -s "$2"
	attach --no-partscan "$1"
	noise $((32 << 20)) "$dev"
	detach "$dev"
}

# verify DEV NAME OPTION...: 48 MiB from 16 MiB on, over what the parent has and beyond
verify() {
	local on=$1 name=$2
	shift 2
	# The same seed each time, or verify_only would look for other data.
	fio --name="$name" --filename="$on" --ioengine=libaio --direct=1 --iodepth=16 \
		--offset=16M --size=48M --rw=randwrite --bsrange=4k-128k \
		--verify=crc32c --verify_fatal=1 --randseed=6 --fallocate=none \
		--minimal "$@" > "/tmp/fio.$name" 2>&1 || {
		grep -v ';fio-' "/tmp/fio.$name" | tail -n 40
		return 1
	}
}

# same_disk TEXT FILE PARENT SHA: what the file holds, by vhdctl alone
same_disk() {
	local text=$1 file=$2 parent=$3 want=$4
	rm -f /scratch/out.raw /scratch/out.vhd
	vhdctl convert -t raw "$file" /scratch/out.raw
	same "$text: vhdctl convert" "$(sha /scratch/out.raw)" "$want"
	vhdctl export --since "$parent" "$file" /scratch/out.vhd
	check "$text: vhdctl export" vhdctl diff /scratch/out.vhd "$file"
	rm -f /scratch/out.raw /scratch/out.vhd
}

# smaller TEXT FILE BEFORE KIB: the file takes at least so much less space than before
smaller() {
	local now
	sync
	now=$(uses "$2")
	echo "# $1: $3 KiB before, $now KiB now"
	check "$1: the file is at least $4 KiB smaller" test "$now" -le $(($3 - $4))
}
