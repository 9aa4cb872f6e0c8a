# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154
# Functions for cases in which something below a disk breaks; source it behind vhd.sh.

# What earlier cases have made or promised is no business of this one.
rm -f /tmp/*ledger* /tmp/count /tmp/*.vhd /tmp/nbd*.disk
# Nobody else here makes nodes in /dev/mapper.
export DM_DISABLE_UDEV=1
declare -A region_at region_sects

# soon: answers that have nothing to do with what is broken come within so many seconds
soon() { [ -n "${KDEBUG:-}" ] && echo 100 || echo 20; }

# region NAME FIRST SIZE: MiB of the scratch disk, as /dev/mapper/NAME
region() {
	[ -n "${SCRATCH_DEV:-}" ] || skip "no scratch disk"
	modprobe -q dm-mod || skip "no device mapper"
	# What a case that failed has left.
	dmsetup remove --retry "$1" > /dev/null 2>&1 || :
	region_at[$1]=$(($2 * 2048)) region_sects[$1]=$(($3 * 2048))
	dmsetup create "$1" --table "$(table_of "$1" linear)"
	wipefs -q -a "/dev/mapper/$1"
}

# table_of NAME linear|error|flakey|delay [MS]
table_of() {
	local there="$SCRATCH_DEV ${region_at[$1]}"
	case $2 in
	linear) echo "0 ${region_sects[$1]} linear $there" ;;
	error) echo "0 ${region_sects[$1]} error" ;;
	# Reads go on.
	flakey) echo "0 ${region_sects[$1]} flakey $there 0 3600 1 error_writes" ;;
	delay) echo "0 ${region_sects[$1]} delay $there 0 $there $3" ;;
	esac
}

# node NAME: what the kernel calls it
node() { echo "dm-$(dmsetup info -c --noheadings -o minor "$1")"; }

# becomes NAME KIND [MS]: nobody is asked to sync or freeze before that
becomes() {
	[ "$2" = linear ] || [ "$2" = error ] || modprobe -q "dm-$2" || skip "no dm-$2"
	dmsetup load "$1" --table "$(table_of "$@")"
	dmsetup suspend --nolockfs --noflush "$1"
	dmsetup resume "$1"
}

# file_system NAME [MOUNT-OPTIONS [ext4|xfs]]: a new one, on /mnt/NAME
file_system() {
	local type=${3:-ext4}
	mkdir -p "/mnt/$1"
	case $type in
	ext4) mkfs.ext4 -q -F -m 0 -E nodiscard "/dev/mapper/$1" ;;
	xfs) mkfs.xfs -q -f -K "/dev/mapper/$1" ;;
	esac
	mount -t "$type" -o "${2:-defaults}" "/dev/mapper/$1" "/mnt/$1"
}

faultio() { /usr/bin/python3 tests/vm/prog/faultio.py "$@"; }

# promise LEDGER DEVICE OPTION...: what it met is in /tmp/wrote
promise() {
	local ledger=$1 device=$2
	shift 2
	faultio write "$@" "$ledger" "$device" | tee /tmp/wrote
}

# wrote FILTER: of jq
wrote() { jq -e "$1" /tmp/wrote > /dev/null; }

# kept TEXT LEDGER DEVICE OPTION...: counted
kept() {
	local text=$1 ledger=$2 device=$3
	shift 3
	check "$text" faultio check "$@" "$ledger" "$device"
}

# at_worst_leaks TEXT ARG...: counted; what vhdctl check says of an image
at_worst_leaks() {
	local text=$1 code=0
	shift
	vhdctl check "$@" || code=$?
	check "$text: vhdctl check says $code, at worst leaks" test $code = 0 -o $code = 3
}

# fails_with TEXT CMD...: it fails and says so
fails_with() {
	local text=$1
	shift
	! "$@" > /tmp/said 2>&1 && grep -aq "$text" /tmp/said && return
	tr -dc '[:print:]\n' < /tmp/said | head -c 300
	return 1
}

fails_with_eio() { fails_with 'Input/output error' "$@"; }

# piece DEVICE MIB [COUNT]: past the page cache
piece() { dd if="$1" bs=1M skip="$2" count="${3:-1}" iflag=direct status=none; }

# put UNIT: 4 KiB of noise there
put() {
	dd if=/dev/urandom of="$dev" bs=4096 seek="$1" count=1 oflag=direct conv=notrunc status=none
}

# A disk on another file system, in use all the time.
beside_start() {
	region good 4096 192
	file_system good
	create /mnt/good/beside.vhd -t dynamic -s 64M
	attach --no-partscan /mnt/good/beside.vhd
	beside=$dev
	rm -f /tmp/count
	/usr/bin/python3 tests/vm/prog/faultio.py beside /tmp/count "$beside" > /tmp/beside &
	beside_pid=$!
	check "another disk is in use" wait_for 60 test -s /tmp/count
}

beside_count() { cat /tmp/count; }
beside_reached() { [ "$(beside_count)" -ge "$1" ]; }

# goes_on TEXT: the other disk does more now
goes_on() {
	check "$1: the other disk goes on" wait_for 20 beside_reached $(($(beside_count) + 20))
}

beside_stop() { kill -TERM "$beside_pid" 2> /dev/null || :; }

beside_end() {
	beside_stop
	check "the other disk: every unit as it was written" wait "$beside_pid"
	echo "# the other disk: $(cat /tmp/beside)"
	same "the other disk: no errors" "$(counter "$beside" io_errors)" 0
	detach "$beside"
}

# listen: events, from now on
listen() {
	: > /tmp/events
	vhdctl monitor --json >> /tmp/events &
	monitor=$!
	check "there is somebody to tell" wait_for 60 listening
}

# There is no such device, and all who listen are told so.
listening() {
	echo "detach 1048575" | rawattach > /dev/null
	test -s /tmp/events
}

forget() { : > /tmp/events; }

# heard EVENT DEVICE [ERRNO]
heard() {
	jq -es --arg event "$1" --arg device "$2" --argjson error "${3:-null}" \
		'any(.[]; .event == $event and .device == $device and
			($error == null or .error == $error))' /tmp/events > /dev/null
}

# told EVENT DEVICE [ERRNO]: counted
told() { check "event: $1 of $2${3:+, $3}" wait_for 30 heard "$@"; }

# untold EVENT DEVICE: counted
untold() {
	if heard "$1" "$2"; then fail "no event $1 of $2"; else pass "no event $1 of $2"; fi
}

unlisten() { kill "$monitor"; }

# The kernel's words since log_mark.
log_mark() { log_from=$(dmesg | wc -l); }
logged() { dmesg | tail -n +$((${log_from:-0} + 1)) | grep -qE "$1"; }

# state DEVICE KEY: of its status
state() { vhdctl status --json "$1" | jq ".$2"; }

# says DEVICE WORDS: its status does
says() { vhdctl status "$1" | grep -q "$2"; }

# quick TEXT CMD...: counted; done in time
quick() {
	local text=$1 start=$SECONDS
	shift
	check "$text" timeout "$(soon)" "$@"
	echo "# $((SECONDS - start)) s: $*"
}
