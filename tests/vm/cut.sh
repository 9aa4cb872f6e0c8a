# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Power cuts; source it behind vhd.sh.
#
# A file system lies on a loop device, that on a device of dm-log-writes. Images in
# the file system are attached, written, flushed, discarded, detached and
# snapshotted by cutwork, which says in the log what is durable from there on.
# Then the log is replayed to one moment after the other; each state goes into a
# throw-away snapshot, is mounted, and every sector of the disks is judged.
#
# The loop device is there because its queue sends one flush at a time. With two
# at once dm-log-writes may log the one that came second, and its mark, before the
# writes that only the first one has made durable, and would accuse the innocent.
#
# What may lie below:
#   ext4, xfs     two disks: dynamic, and a child of which snapshots are made
#   dev           a child on the bare device, nothing between it and the log
#   async         ext4 with asynchronous commits, which orders nothing but what fsync
#                 orders: a disk that grows and is trimmed, and only while it is
#                 detached. To more than that it promises nothing itself: a file may
#                 have grown without what was written there.

# Nobody else here makes nodes in /dev/mapper.
export DM_DISABLE_UDEV=1
cut_dir=/tmp/cut
cut_bytes=32M

# Starting a program takes a tenth of a second in an emulated machine: hundreds of
# cuts make do with as few as they can.
declare -A devs # by number of the disk
disks=()        # their numbers
image=()        # options and file for vhdctl

cut_disks() {
	case $below in
	dev) disks=(1) ;;
	async) disks=(2) ;;
	*) disks=(0 1) ;;
	esac
}

cut_image() { # DISK
	case $below:$1 in
	dev:*) image=(--parent /scratch/base.vhd "$carrier") ;;
	*:0) image=(/cut/dynamic.vhd) ;;
	*:1) image=("/cut/child$leaf.vhd") ;;
	*:2) image=(/cut/line.vhd) ;;
	esac
}

# The devices: what is written to, where it is replayed, what a cut changes, the log.
cut_devices() {
	rmmod brd 2> /dev/null || :
	modprobe -a loop dm-mod dm-log-writes dm-snapshot || skip "no dm-log-writes here"
	if grep -q '^brd ' /proc/modules; then
		fail "somebody uses the RAM disks"
		return 1
	fi
	modprobe brd rd_nr=4 rd_size=$((640 << 10)) || skip "no RAM disk in this kernel"
	cut_sects=$(blockdev --getsz /dev/ram0)
	dmsetup create cutlog --table "0 $cut_sects log-writes /dev/ram0 /dev/ram3"
	carrier=$(losetup --find --show --direct-io=on /dev/mapper/cutlog)
	rm -rf $cut_dir
	mkdir -p $cut_dir /cut
}

cut_mark() {
	dmsetup message cutlog 0 mark "$1"
}

cut_mkfs() {
	case $below in
	ext4) mkfs.ext4 -q -F -N 1024 -J size=8 \
		-E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$carrier" ;;
	async) mkfs.ext4 -q -F -N 1024 -J size=8 -O ^metadata_csum \
		-E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$carrier" ;;
	xfs) mkfs.xfs -q -f -K "$carrier" ;;
	dev) scratch ext4 ;;
	esac
}

cut_mount() {
	case $below in
	xfs) mount -t xfs "$carrier" /cut ;;
	async) mount -t ext4 -o data=writeback,journal_async_commit "$carrier" /cut ;;
	dev) ;;
	*) mount -t ext4 "$carrier" /cut ;;
	esac
}

cut_umount() {
	[ "$below" = dev ] || umount /cut
}

# cut_base FILE: the parent of everything
cut_base() {
	create "$1" -t dynamic -b 64K -s $cut_bytes
	attach --no-partscan "$1"
	cutwork fill 1 "$dev"
	detach "$dev"
}

cut_prepare() {
	leaf=0
	cut_mkfs
	cut_mount
	case $below in
	dev)
		cut_base /scratch/base.vhd
		create /scratch/leaf.vhd --parent /scratch/base.vhd
		on_device /scratch/leaf.vhd "$carrier"
		sync "$carrier" ;;
	async)
		create /cut/line.vhd -t dynamic -b 64K -s $cut_bytes ;;
	*)
		cut_base /cut/base.vhd
		create /cut/child0.vhd --parent /cut/base.vhd
		create /cut/dynamic.vhd -t dynamic -b 64K -s $cut_bytes ;;
	esac
	[ "$below" = dev ] || sync -f /cut
	cut_mark begin
}

# cut_attach ARG...: all disks
cut_attach() {
	local disk
	devs=()
	for disk in "${disks[@]}"; do
		cut_image "$disk"
		attach --no-partscan "$@" "${image[@]}" || return 1
		devs[$disk]=$dev
	done
}

cut_detach() {
	detach "${devs[@]}" && devs=()
}

# cut_round FIRST LAST: what detaching means for durability is marked too
cut_round() {
	local disk pids=() pid
	cut_attach
	for disk in "${!devs[@]}"; do
		cutwork run "$disk" "${devs[$disk]}" "$1" "$2" cutlog &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		wait "$pid"
	done
	cut_mark t:
	cut_detach
	for disk in "${disks[@]}"; do
		cut_mark "m:$disk:0:0:$2:$2:$2:$2"
	done
}

# After each second round the child becomes a parent.
cut_snapshot() {
	[ -e "/cut/child$leaf.vhd" ] || return 0
	vhdctl snapshot "/cut/child$leaf.vhd" "/cut/child$((leaf + 1)).vhd"
	leaf=$((leaf + 1))
	cut_mark "m:leaf:$leaf"
}

# cut_work ROUNDS REQUESTS
cut_work() {
	local round window=
	for ((round = 0; round < $1; round++)); do
		cut_round $((round * $2 + 1)) $(((round + 1) * $2))
		[ $((round % 2)) = 0 ] || cut_snapshot
	done
	cut_umount
	losetup --detach "$carrier"
	dmsetup remove --retry cutlog
	cutlog marks /dev/ram3 > $cut_dir/marks
	mapfile -t leaves < <(sed -n 's/ m:leaf:.*//p' $cut_dir/marks)
	[ "$below" != async ] || window=t:
	cutlog plan /dev/ram3 "$cut_seed" "$cut_nr" begin m: "$window" > $cut_dir/any
	sort -n $cut_dir/any > $cut_dir/plan
}

# cut_leaf POS: the child that must be there; the next one may be.
cut_leaf() {
	local at
	leaf=0
	for at in "${leaves[@]}"; do
		[ "$at" -ge "$1" ] || leaf=$((leaf + 1))
	done
	[ ! -e "/cut/child$((leaf + 1)).vhd" ] || leaf=$((leaf + 1))
}

# cut_check FILE...: no error; leaks are what a cut may leave
cut_check() {
	local code=0
	vhdctl check "$@" || code=$?
	[ $code = 0 ] || [ $code = 3 ]
}

cut_check_leaves() {
	local disk
	for disk in "${disks[@]}"; do
		cut_image "$disk"
		cut_check "${image[@]}" || return 1
	done
}

cut_check_parents() {
	local file
	[ "$below" != dev ] || return 0
	for file in /cut/*.vhd; do
		[ "$file" = "/cut/child$leaf.vhd" ] || cut_check "$file" || return 1
	done
}

cut_judge() { # WHAT POS [ARG]
	local disk what=$1 pos=$2
	shift 2
	for disk in "${!devs[@]}"; do
		cutwork "$what" "$disk" "${devs[$disk]}" $cut_dir/marks "$pos" "$@" || return 1
	done
	cut_detach
}

# cut_again POS: the images go on as if nothing had happened
cut_again() {
	cut_attach && cut_judge again "$1" 20 && cut_check_leaves && cut_check_parents
}

# cut_look POS: mount, which replays the journal, and look at everything
cut_look() {
	cut_mount || return 1
	cut_leaf "$1"
	cut_check_leaves || return 1
	if [ $((cut_number % 4)) = 0 ]; then
		cut_again "$1" || return 1
	else
		cut_attach -r && cut_judge judge "$1" || return 1
	fi
	cut_umount
}

# cut_once POS SEED
cut_once() {
	local status=0
	cutlog replay /dev/ram3 /dev/ram1 $cut_dir/state "$1" || return 1
	dmsetup create cut --table "0 $cut_sects snapshot /dev/ram1 /dev/ram2 N 8" || return 1
	carrier=/dev/mapper/cut
	cutlog rest /dev/ram3 $carrier $cut_dir/state "$1" "$2" || status=1
	[ $status = 1 ] || cut_look "$1" || status=1
	if [ $status = 1 ]; then
		[ "${#devs[@]}" = 0 ] || vhdctl detach "${devs[@]}" || :
		! mountpoint -q /cut || umount /cut || :
	fi
	dmsetup remove --retry cut || status=1
	return $status
}

cut_all() {
	local pos seed bad=0 first=
	cut_number=0
	while read -r pos seed; do
		cut_number=$((cut_number + 1))
		if ! cut_once "$pos" "$seed" > $cut_dir/out 2>&1 < /dev/null; then
			bad=$((bad + 1))
			: "${first:=$cut_number}"
			cat $cut_dir/out
			fail "$below: cut $cut_number, before entry $pos, seed $seed"
			[ $bad -lt "${CUT_BAD:-5}" ] || break
		fi
	done < $cut_dir/plan
	echo "# $below: $bad bad of $cut_number cuts${first:+, the first one is $first}"
	[ $bad != 0 ] || pass "$below: $cut_number power cuts"
}

# cut_power BELOW CUTS ROUNDS REQUESTS: CUTS 0: behind each mark
cut_power() {
	local start=$SECONDS
	below=$1 cut_nr=$2 cut_seed=${CUT_SEED:-$RANDOM}
	cut_disks
	cut_devices
	cut_prepare
	cut_work "$3" "$4"
	echo "# $below: seed $cut_seed; $(grep -c . $cut_dir/marks) marks," \
		"$(wc -l < $cut_dir/plan) cuts; prepared in $((SECONDS - start)) s"
	start=$SECONDS
	cut_all
	echo "# $below: $cut_number cuts in $((SECONDS - start)) s"
	! mountpoint -q /scratch || umount /scratch
	rm -rf $cut_dir
	rmmod brd
}
