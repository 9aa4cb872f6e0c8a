# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Power cuts; source it behind vhd.sh.
#
# A file system lies on a loop device, that on a device of dm-log-writes. Images in
# the file system are attached, written, flushed, discarded, detached and
# snapshotted by cutwork, which says in the log what is durable from there on.
# Then cutrun replays the log to one moment after the other; each state goes into a
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
cut_said= # of all
cut_bytes=32M

declare -A devs # by number of the disk
disks=()        # their numbers
image=()        # options and file for vhdctl

cut_disks() {
	case $below in
	dev) disks=(1) cut_images="differencing image" ;;
	async) disks=(2) cut_images="dynamic image" ;;
	*) disks=(0 1) cut_images="dynamic and differencing image" ;;
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

# cut_attach: all disks
cut_attach() {
	local disk
	devs=()
	for disk in "${disks[@]}"; do
		cut_image "$disk"
		attach --no-partscan "${image[@]}"
		devs[$disk]=$dev
	done
}

cut_detach() {
	detach "${devs[@]}" && devs=()
}

# What was given back stays given back.
cut_sizes() {
	local disk
	[ "$below" != dev ] || return 0
	for disk in "${disks[@]}"; do
		cut_image "$disk"
		cut_mark "size:$(stat -c %s "${image[0]}"):${image[0]}"
	done
}

# cut_round FIRST LAST: what detaching means for durability is marked too
cut_round() {
	local disk pids=() pid
	# A disk grows with the first writes behind attach.
	if [ "$below" = async ]; then cut_mark attach; else cut_mark t:attach; fi
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
	cut_sizes
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
	local round
	for ((round = 0; round < $1; round++)); do
		cut_round $((round * $2 + 1)) $(((round + 1) * $2))
		[ $((round % 2)) = 0 ] || cut_snapshot
	done
	cut_mark end
	cut_umount
	losetup --detach "$carrier"
	dmsetup remove --retry cutlog
}

# cut_plan NR: how many of a hundred are behind flushes, behind FUA, and where a disk
# grows or shrinks; the others are anywhere
cut_plan() {
	local shares=${CUT_SHARES:-30 20 20}
	[ "$below" != async ] || shares="0 0 100"
	cutlog marks /dev/ram3 > $cut_dir/marks
	# A log that is full ends without a word.
	grep -q ' end$' $cut_dir/marks || { fail "the log is too small"; return 1; }
	# shellcheck disable=SC2086
	cutlog plan /dev/ram3 "$cut_seed" "$1" $shares > $cut_dir/any
	sort -n $cut_dir/any > $cut_dir/plan
}

cut_all() {
	local start=$SECONDS status=0
	# Grace periods are what most of mount, attach and detach wait for.
	echo 1 > /sys/kernel/rcu_expedited
	cutrun "$below" /dev/ram3 /dev/ram1 /dev/ram2 $cut_dir "${CUT_BAD:-5}" || status=$?
	echo 0 > /sys/kernel/rcu_expedited
	same "$below: $(wc -l < $cut_dir/plan) power cuts ($cut_images)" $status 0
	echo "# $below: $((SECONDS - start)) s"
	[ $status != 0 ] ||
		cut_said+="${cut_said:+, }$below $(wc -l < $cut_dir/plan) ($cut_images)"
}

# cut_power BELOW CUTS ROUNDS REQUESTS: CUTS 0: behind each mark
cut_power() {
	local start=$SECONDS
	below=$1 cut_nr=$2 cut_seed=${CUT_SEED:-$RANDOM}
	cut_disks
	cut_devices
	cut_prepare
	cut_work "$3" "$4"
	cut_plan "$cut_nr"
	echo "# $below: seed $cut_seed; $(grep -c ' m:' $cut_dir/marks) flushes and" \
		"$(grep -c ' f:' $cut_dir/marks) FUA are marked, $(wc -l < $cut_dir/plan) cuts;" \
		"prepared in $((SECONDS - start)) s"
	cut_all
	! mountpoint -q /scratch || umount /scratch
	rm -rf $cut_dir
	rmmod brd
}

# cut_sum: the last word
cut_sum() {
	echo "# good power cuts: ${cut_said:-none}"
}
