#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# usage: check.sh [GROUP...]
#
# Run groups of tests (without arguments: those of "make check"), each even if
# an earlier one failed; print what each found and how long it took, and as the
# last line "N passed, N failed". Logs are in build/log.
set -eu

cd "$(dirname "$0")/.."
log=build/log
mkdir -p "$log"

# Minutes that each group may take on a machine of two cores, where two virtual
# machines run at a time. A group is stopped and fails at CHECK_SLACK times its share.
declare -A share=(
	[setup]=20 [style]=2 [host]=6 [fuzz]=2 [oldstable]=43 [kill]=14 [cuts]=8
	[debug]=28 [memory]=4 [bench]=4 [backports]=12 [latest]=12
	[packages]=25 [hosts]=40 [xen]=20 [boot]=60
	[soak]=240 [soak-debug]=60 [soak-fuzz]=140 [soak-kcsan]=60
)
slack=${CHECK_SLACK:-2}

declare -A lanes_of=(
	[style]=oldstable [oldstable]=oldstable [kill]=oldstable [cuts]=oldstable
	[debug]=debug [memory]=oldstable [backports]=backports [latest]=latest
	[bench]=oldstable [soak]=oldstable [soak-debug]=debug
	[soak-kcsan]=kcsan [hosts]=oldstable [xen]=xen [boot]="oldstable cloud"
)
declare -A suite_of=(
	[oldstable]=oldstable [cuts]=cuts [debug]=debug [memory]=memory [backports]=short
	[latest]=short [soak]=soak [soak-debug]=soak-debug
	[soak-kcsan]=soak-kcsan [hosts]=hosts [xen]=xen
)
# MiB of the virtual machine, if it is not as much as everybody gets.
declare -A memory_of=([memory]=512)

groups=("$@")
[ "$#" -gt 0 ] || groups=(style host fuzz oldstable debug kill cuts memory bench)
for group in "${groups[@]}"; do
	[ -n "${share[$group]:-}" ] ||
		{ echo "check.sh: no group '$group'" >&2; exit 1; }
done

passed=0 failed=0 skipped=0
table=()

count() { # PASSED FAILED [SKIPPED]
	passed=$((passed + $1))
	failed=$((failed + $2))
	skipped=$((skipped + ${3:-0}))
}

# The last summary line of a log: passed, failed and skipped; nothing if there
# is none.
summary() {
	sed -nE 's/^([^ ]+: )?([0-9]+) passed, ([0-9]+) failed(, ([0-9]+) skipped)?$/\2 \3 \5/p' \
		"$1" | tail -n 1
}

in_words() { # PASSED FAILED [SKIPPED]
	echo "$1 passed, $2 failed${3:+, $3 skipped}"
}

seconds_left() { echo $((start + share[$group] * 60 * slack - $(date +%s))); }

bounded() { # COMMAND...: stopped when the group's time is up
	local left
	left=$(seconds_left)
	[ "$left" -gt 0 ] || return 124
	timeout -k 60 "$left" "$@"
}

quiet() { "$@" > "$file" 2>&1 < /dev/null; }
aloud() { "$@" 2>&1 < /dev/null | tee "$file"; return "${PIPESTATUS[0]}"; }

# Run one program that ends in "N passed, N failed" and take over its counts.
# One that says nothing, or fails without saying what, is itself a failure.
step() { # quiet|aloud NAME COMMAND...
	local how=$1 name=$2 status=0 said
	local file=$log/$name.log begin=$SECONDS
	shift 2
	"$how" bounded "$@" || status=$?
	said=$(summary "$file")
	# shellcheck disable=SC2086
	echo "-- $name: $(in_words ${said:-0 0}) ($((SECONDS - begin)) s)"
	# shellcheck disable=SC2086
	[ -z "$said" ] || count $said
	case "$status:$said" in
	124:*|137:*) complain "$name ran out of time" ;;
	*:|*:0\ 0\ *) complain "$name ran no test (exit code $status)" ;;
	0:*\ 0\ *) ;;
	*:*\ 0\ *) complain "$name: exit code $status" ;;
	*) [ "$how" = aloud ] || tail_of "$name" ;;
	esac
}

tail_of() { # NAME
	echo "--- $1: the end of $log/$1.log"
	tail -n 40 "$log/$1.log"
	echo "---"
}

complain() {
	count 0 1
	echo "not ok - $1"
	[ "$how" = aloud ] || tail_of "$name"
}

run_style() {
	step quiet style tools/scripts/style
	step quiet sparse tools/scripts/sparse oldstable
}

run_host() {
	step quiet host make -C tests/host check
	step quiet crash make -C tests/host crash
	step quiet crash-opinion make -C tests/host opinion
	step quiet vhdctl tests/host/vhdctl_test.sh
	step quiet convert /usr/bin/python3 tests/host/convert_test.py
	step quiet direct /usr/bin/python3 tests/host/direct_test.py
	step quiet help tests/host/help_test.sh
	step quiet hostile /usr/bin/python3 tests/host/hostile_test.py
	step quiet scan /usr/bin/python3 tests/host/scan_test.py
	step quiet progress /usr/bin/python3 tests/host/progress_test.py
	step quiet diff /usr/bin/python3 tests/host/diff_test.py
	step quiet compact /usr/bin/python3 tests/host/compact_test.py
	step quiet relink /usr/bin/python3 tests/host/relink_test.py
	step quiet merge /usr/bin/python3 tests/host/merge_test.py
	step quiet adopt make -C tests/host adopt
	step quiet resize /usr/bin/python3 tests/host/resize_test.py
	step quiet vhdtab /usr/bin/python3 tests/host/vhdtab_test.py
	step quiet boot tests/host/boot_test.sh
	step quiet recorder make -C tests/host recorder
	step quiet interop /usr/bin/python3 tests/host/interop_test.py
	step quiet repair /usr/bin/python3 tests/host/repair_test.py
	step quiet badinput make -C tests/vm/prog check-host
	step quiet cuts make -C tests/vm/prog check-cuts
	step quiet bench-arithmetic /usr/bin/python3 tests/bench/selftest.py
	step quiet images /usr/bin/python3 tests/images/selftest.py
}

run_packages() { step aloud packages tests/packages/run; }

run_boot() { step aloud boot tests/boot/run; }

run_fuzz() { step quiet fuzz make -C tests/fuzz smoke; }

# Ten minutes each.
run_soak-fuzz() { step aloud soak-fuzz make -C tests/fuzz run T=600; }

run_bench() { step aloud bench tests/bench/run --smoke oldstable; }

run_kill() { step aloud kill tests/vm/kill.sh -k oldstable; }

run_cuts() {
	rm -f build/vm/cuts/powercut.log
	run_vm
	# How many there were, below what.
	[ ! -e build/vm/cuts/powercut.log ] || tail -n 1 build/vm/cuts/powercut.log
}

# The cases of the group's suite, in one virtual machine.
run_vm() {
	local suite=tests/vm/suites/${suite_of[$group]} cases=()
	[ ! -e "$suite" ] || mapfile -t cases < <(sed 's/[ \t]*#.*//; /^$/d' "$suite")
	if [ "${#cases[@]}" -eq 0 ]; then
		count 0 1
		echo "not ok - $suite names no case"
		return
	fi
	step aloud "$group" tests/vm/run -k "${lanes_of[$group]}" \
		-o "build/vm/$group" ${memory_of[$group]:+-m "${memory_of[$group]}"} \
		-T "$(($(seconds_left) - 30))" "${cases[@]}"
}

needs() { # SET-OR-LANE GROUP...: is one of these groups to be run?
	local group wanted=" ${groups[*]} "
	for group in "${@:2}"; do
		[[ $wanted != *" $group "* ]] || return 0
	done
	return 1
}

sets_needed() {
	echo tools
	! needs style style || echo style
	! needs host host fuzz soak-fuzz || echo host
	! needs packages packages || printf '%s\n' deb packages
	! needs boot boot || echo boot
	! needs vm oldstable kill cuts debug memory backports latest soak soak-debug soak-kcsan bench hosts xen ||
		echo vm
}

lanes_needed() {
	local group
	for group in "${groups[@]}"; do
		echo "${lanes_of[$group]:-}"
	done | tr ' ' '\n' | sed '/^$/d' | sort -u
}

prepare() { # NAME COMMAND...
	local name=$1 file=$log/setup-$1.log begin
	begin=$(date +%s)
	shift
	if bounded "$@" > "$file" 2>&1 < /dev/null; then
		echo "setup: $name ready ($(($(date +%s) - begin)) s)"
	else
		echo "setup: $name failed"
		tail_of "setup-$name"
		return 1
	fi
}

lane() { # LANE: its kernel, then the module for it, which must not warn
	prepare "$1-kernel" tests/vm/lane setup "$1" &&
		prepare "$1-module" tests/vm/lane build "$1"
}

# Packages first, since everything needs them; then the lanes side by side: what
# takes long there is one compiler, one unpacking and one download.
run_setup() {
	local sets lane pids=() pid
	mapfile -t sets < <(sets_needed)
	prepare packages tools/scripts/setup "${sets[@]}" || count 0 1
	prepare vhdctl make tools || count 0 1
	prepare programs make -C tests/vm/prog || count 0 1
	prepare kernel-source tools/scripts/kernel-source || count 0 1
	for lane in $(lanes_needed); do
		lane "$lane" &
		pids+=($!)
	done
	for pid in "${pids[@]}"; do
		if wait "$pid"; then count 1 0; else count 0 1; fi
	done
}

run() { # GROUP
	local minutes before=("$passed" "$failed" "$skipped") start
	group=$1
	start=$(date +%s)
	echo "== $group"
	case $group in
	setup|style|host|fuzz|soak-fuzz|kill|cuts|packages|boot|bench) "run_$group" ;;
	*) run_vm ;;
	esac
	minutes=$(awk -v s=$(($(date +%s) - start)) 'BEGIN { printf "%.1f", s / 60 }')
	table+=("$(printf '%-10s %7d %7d %7d %8s %6d' "$group" \
		$((passed - before[0])) $((failed - before[1])) \
		$((skipped - before[2])) "$minutes" "${share[$group]}")")
}

# Virtual machines keep little more than one core busy each: two at a time, the
# next group to whoever is free. What the second says comes when all is done.
side_by_side() { # GROUP...: the long ones first
	local group queue=$log/queue pid
	printf '%s\n' "$@" > "$queue"
	work_off "$queue" > "$log/beside.log" 2>&1 &
	pid=$!
	work_off "$queue"
	wait "$pid" || :
	cat "$log/beside.log"
	for group in "$@"; do
		take_note "$group"
	done
}

work_off() { # QUEUE
	local group
	while group=$(next_of "$1") && [ -n "$group" ]; do
		# One that dies leaves no note, which counts.
		( run_noted "$group" ) || :
	done
}

next_of() { # QUEUE: its first line, which nobody else gets
	flock "$1.lock" sed -i -e '1w /dev/stdout' -e 1d "$1"
}

# A subshell cannot count for us, so it leaves a note.
run_noted() { # GROUP
	passed=0 failed=0 skipped=0 table=()
	rm -f "$log/note-$1"
	run "$1"
	printf '%s\n' "$passed $failed $skipped" "${table[@]}" > "$log/note-$1"
}

take_note() { # GROUP
	local said=() row
	[ ! -e "$log/note-$1" ] || {
		read -ra said < "$log/note-$1"
		row=$(sed 1d "$log/note-$1")
	}
	if [ "${#said[@]}" -eq 3 ]; then
		count "${said[@]}"
		table+=("$row")
	else
		count 0 1
		echo "not ok - $1 stopped without a word"
	fi
}

machines=()
run setup
for group in "${groups[@]}"; do
	case $group in
	style|host|fuzz|soak-fuzz|packages|boot) run "$group" ;;
	bench) ;;
	*) machines+=("$group") ;;
	esac
done
[ "${#machines[@]}" -eq 0 ] || side_by_side "${machines[@]}"
# What is measured wants the whole machine.
! needs bench bench || run bench

printf '\n%-10s %7s %7s %7s %8s %6s\n' group passed failed skipped minutes share
printf '%s\n' "${table[@]}" ''
[ "$skipped" -gt 0 ] || skipped=
in_words "$passed" "$failed" $skipped
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
