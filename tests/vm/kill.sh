#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: kill.sh [-k LANE] [RUNS]
#
# Kill QEMU in the middle of writing, RUNS (20) times, on one disk. Each boot
# first judges what the last one left (cases kill-check, kill-write), and the
# last boot does nothing else. Ends in "N passed, N failed".
set -eu

cd "$(dirname "$0")/../.."

lane=oldstable
if [ "${1:-}" = -k ]; then
	lane=$2
	shift 2
fi
runs=${1:-20}
# Boot, judge and come to write: far longer than any of it takes.
patience=400

work=$(mktemp -d "${TMPDIR:-/tmp}/vhdblk-kill.XXXXXX")
trap 'rm -rf "$work"' EXIT
disk=$work/disk
truncate -s 12G "$disk"

passed=0 failed=0
result() { # TEXT STATUS
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
		echo "ok - $1"
	else
		failed=$((failed + 1))
		echo "not ok - $1"
	fi
}

# boot RUN CASE...
boot() {
	local run=$1
	shift
	rm -f "$work/pid"
	tests/vm/run -k "$lane" -K -m 2048 -D "$disk" -P "$work/pid" \
		-o "$work/logs" -e KILL_RUN="$run" "$@" > "$work/out" 2>&1
}

# The log of killwriter: the last MiB of the disk, a sector of text per run.
log_of() {
	dd if="$disk" bs=512 count=1 status=none \
		skip=$((($(stat -c %s "$disk") >> 9) - 2048 + $1)) | tr -d '\0'
}

# writing RUN: this run has acknowledged something
writing() {
	log_of "$1" | awk -v run="$1" '
		$1 == "run" && $2 == run && $9 >= $4 + 50 { found = 1 }
		END { exit !found }'
}

killed() {
	local pid
	pid=$(cat "$work/pid") || return 1
	kill -KILL "$pid"
}

# one_run N: boot, wait until it writes, let it for a while, kill it
one_run() {
	local run=$1 start=$SECONDS vm moment
	boot "$run" kill-check kill-write &
	vm=$!
	while ! writing "$run"; do
		if ! kill -0 $vm 2> /dev/null ||
		   [ $((SECONDS - start)) -gt $patience ]; then
			killed || :
			wait $vm || :
			return 1
		fi
		sleep 1
	done
	moment=$((RANDOM % 4000))
	sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
	killed || return 1
	wait $vm || :
	echo "# run $run, killed after $moment ms: $(log_of "$run")"
}

judged() { # RUN
	local status=0
	grep -q '^ok kill-check' "$work/out" || status=1
	result "run $1: what the kill before it left" $status
	[ $status = 0 ] || cat "$work/out"
}

for ((run = 0; run < runs; run++)); do
	status=0
	one_run "$run" || status=1
	result "run $run: killed while it wrote" $status
	if [ $status != 0 ]; then
		cat "$work/out"
		break
	fi
	[ "$run" = 0 ] || judged "$run"
done
if [ $failed = 0 ]; then
	boot "$runs" kill-check || :
	judged "$runs"
fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
