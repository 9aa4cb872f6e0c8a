#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Part of vhdctl_test.sh, whose functions and variables it uses: what vhdctl set
# changes, what it leaves alone, and what a command that was interrupted leaves.
# shellcheck disable=SC2154
set -eu

field()
{
	json "j['$1']" "$vhdctl" info --json "$2"
}

valid()
{
	run "$1" 0 '' python3 "$root/tests/images/mkvhd.py" validate "$2"
}

# cut_short NAME FILE COMMAND...: killed before its Nth write, sync or change of size, for
# every N of each; the file always holds the disk that it held, and the command finishes it.
cut_short()
{
	local name=$1 file=$2 before call n at stops=0 got

	shift 2
	before=$(flat "$file")
	cp "$file" whole.bak
	for call in pwrite64 fsync ftruncate fallocate; do
		for ((n = 1;; n++)); do
			cp whole.bak "$file"
			got=0
			bash -c '"$@"; exit' _ strace -f -o /dev/null -e trace=$call \
				-e inject=$call:signal=KILL:when=$n "$@" "$file" >out 2>&1 || got=$?
			[ "$got" -ne 0 ] || break
			stops=$((stops + 1))
			at="stopped at $call $n"
			same "$name: content, $at" "$before" "$(flat "$file")"
			run "$name: again, $at" 0 '' "$@" "$file"
			run "$name: clean, $at" 0 'clean' "$vhdctl" check "$file"
			valid "$name: valid, $at" "$file"
			same "$name: same size, $at" "$(stat -c %s whole.bak)" \
				"$(stat -c %s "$file")"
		done
	done
	same "$name: it was stopped at all" yes "$([ $stops -gt 3 ] && echo yes)"
}

set_footers()
{
	local id=11111111-2222-3333-4444-555555555555 kind before

	v "set nothing" 1 'set: what' set x.vhd
	"$vhdctl" create --force -s 9M y.vhd
	"$vhdctl" create --force -t fixed -s 3M z.vhd
	"$vhdctl" create --force --parent y.vhd x.vhd
	v "set no id" 1 "does not take 'frob'" set --uuid frob y.vhd
	v "set the id 0" 1 "nobody's parent" set --uuid 00000000-0000-0000-0000-000000000000 y.vhd
	v "set hidden to what" 1 "does not take 'maybe'" set --hidden maybe y.vhd
	v "set which rule" 1 "does not take 'auto'" set --size-rule auto y.vhd
	for kind in x y z; do
		before=$(flat $kind.vhd)
		cp $kind.vhd old.vhd
		v "set id of $kind" 0 'its children, if any, name its old' set --uuid $id $kind.vhd
		same "id of $kind" $id "$(field id $kind.vhd)"
		[ $kind != y ] || v "child of a new id" 5 'another unique id' check x.vhd
		v "set hidden of $kind" 0 '' set --hidden yes $kind.vhd
		same "hidden byte of $kind" 01 "$(tail -c 427 $kind.vhd | head -c 1 | od -An -tx1 | tr -d ' ')"
		same "size of the file $kind" "$(stat -c %s old.vhd)" "$(stat -c %s $kind.vhd)"
		valid "valid $kind" $kind.vhd
		v "visible $kind" 0 '' set --hidden no --uuid "$(field id old.vhd)" $kind.vhd
		identical "as it was: $kind" old.vhd $kind.vhd
		same "content of $kind" "$before" "$(flat $kind.vhd)"
		v "random id of $kind" 0 'warning' set --uuid new $kind.vhd
		same "another id of $kind" yes "$([ "$(field id $kind.vhd)" != "$(field id old.vhd)" ] && echo yes)"
		cp old.vhd $kind.vhd
	done
	edit y.vhd set end 28 71656d75 seal end twin
	same "QEMU: size by geometry" $((271 * 4 * 17 * 512)) "$(field size y.vhd)"
	cp y.vhd w9.vhd
	v "geometry for all" 0 '' set --size-rule chs y.vhd
	same "geometry is the size" "$((271 * 4 * 17 * 512)) win " "$(field size y.vhd) $(field creator y.vhd)"
	v "size for all" 0 '' set --size-rule current w9.vhd
	same "size is the size" "9437184 win " "$(field size w9.vhd) $(field creator w9.vhd)"
	valid "valid by geometry" y.vhd
	valid "valid by size" w9.vhd
	edit w9.vhd set file 4096 00000001
	v "set with faults" 2 'nothing is changed' set --hidden yes w9.vhd
}

# The footer is the last 512 bytes of a file, on a sector boundary or not.
set_odd_length()
{
	local before

	"$vhdctl" create --force -s 9M z.vhd
	{ head -c -512 z.vhd; head -c 300 /dev/zero; tail -c 512 z.vhd; } >y.vhd
	before=$(flat y.vhd)
	v "odd length" 0 'clean' check y.vhd
	v "set in a file of odd length" 0 '' set --hidden yes y.vhd
	v "odd length: clean" 0 'clean' check y.vhd
	valid "odd length: valid" y.vhd
	same "odd length: content" "$before" "$(flat y.vhd)"
	same "odd length: hidden byte" 01 "$(tail -c 427 y.vhd | head -c 1 | od -An -tx1 | tr -d ' ')"
}

set_interrupted()
{
	local id=11111111-2222-3333-4444-666666666666

	command -v strace >/dev/null || { skip "set interrupted: strace is not installed"; return; }
	python3 "$root/tests/images/mkvhd.py" chain fx --spec \
		'{"layers": [{"type": "fixed", "size": "3M", "runs": [[0, 6144, "name"]]}]}' >out
	python3 "$root/tests/images/mkvhd.py" chain dy --spec \
		'{"layers": [{"type": "dynamic", "size": "9M", "runs": [[100, 9000, "name"]]}]}' >out
	cut_short "set dynamic" dy/layer0.vhd "$vhdctl" set --uuid $id
	cut_short "set fixed" fx/layer0.vhd "$vhdctl" set --uuid $id
}

test_set()
{
	set_footers
	set_odd_length
	set_interrupted
}
