#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# vhdctl without the driver: files made, described, checked, mended and mapped;
# compared with qemu-img and 7-Zip; every exit code and class of message.
#
# usage: vhdctl_test.sh [directory of the real images, packed with xz]
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
vhdctl=${VHDCTL:-$root/build/vhdctl}
images=${1:-${IMAGES:-$root/../shared/images}}
work=$(mktemp -d)
passed=0 failed=0 skipped=0
trap 'rm -rf "$work"' EXIT
cd "$work"

ok()
{
	passed=$((passed + 1))
}

bad()
{
	failed=$((failed + 1))
	echo "not ok - $1"
	sed 's/^/    /' out
}

# run NAME CODE PATTERN COMMAND...: exit code and a line of the output
run()
{
	local name=$1 code=$2 pattern=$3 got=0

	shift 3
	"$@" >out 2>&1 || got=$?
	if [ "$got" -ne "$code" ]; then
		echo "exit code $got instead of $code" >>out
		bad "$name"
	elif [ -n "$pattern" ] && ! grep -qE -- "$pattern" out; then
		echo "nothing matches '$pattern'" >>out
		bad "$name"
	else
		ok
	fi
}

v()
{
	local name=$1 code=$2 pattern=$3

	shift 3
	run "$name" "$code" "$pattern" "$vhdctl" "$@"
}

# same NAME WANTED GOT
same()
{
	if [ "$2" = "$3" ]; then
		ok
	else
		printf 'wanted %s\ngot    %s\n' "$2" "$3" >out
		bad "$1"
	fi
}

# identical NAME FILE FILE
identical()
{
	if cmp "$2" "$3" >out 2>&1; then
		ok
	else
		bad "$1"
	fi
}

skip()
{
	skipped=$((skipped + 1))
	echo "skip $1"
}

# json EXPRESSION COMMAND...: the value of a Python expression over the output
json()
{
	local expression=$1

	shift
	"$@" 2>err | python3 -c "import json, sys; j = json.load(sys.stdin); print($expression)"
}

cat >edit.py <<'PY'
"""edit.py FILE ACTION...: change bytes of an image, and its checksums.

  set PLACE OFFSET HEX   PLACE: end, copy, header or file
  text PLACE OFFSET TEXT
  seal PLACE             end, copy or header
  twin                   copy := end
  cut N                  drop the last N bytes
  grow N                 insert N zeros before the end footer
"""
import struct
import sys

path, actions = sys.argv[1], sys.argv[2:]
data = bytearray(open(path, "rb").read())


def base(place):
    if place == "end":
        return len(data) - 512
    if place == "header":
        return struct.unpack_from(">Q", data, len(data) - 512 + 16)[0]
    return 0


def seal(place):
    at, size, field = base(place), 512, 64
    if place == "header":
        size, field = 1024, 36
    data[at + field:at + field + 4] = bytes(4)
    total = ~sum(data[at:at + size]) & 0xffffffff
    struct.pack_into(">I", data, at + field, total)


while actions:
    word = actions.pop(0)
    if word in ("set", "text"):
        place, offset, value = actions.pop(0), int(actions.pop(0), 0), actions.pop(0)
        value = bytes.fromhex(value) if word == "set" else value.encode()
        at = base(place) + offset
        data[at:at + len(value)] = value
    elif word == "seal":
        seal(actions.pop(0))
    elif word == "twin":
        data[0:512] = data[-512:]
    elif word == "cut":
        del data[-int(actions.pop(0), 0):]
    elif word == "grow":
        at = len(data) - 512
        data[at:at] = bytes(int(actions.pop(0), 0))
    else:
        sys.exit("edit.py: " + word)
open(path, "wb").write(data)
PY

edit()
{
	python3 "$work/edit.py" "$@"
}

# flat FILE: SHA-256 of the disk as "vhdctl map --extents" describes it
flat()
{
	"$vhdctl" map --json --extents "$@" 2>err | python3 -c '
import hashlib, json, sys
j, h, at = json.load(sys.stdin), hashlib.sha256(), 0
for r in j["runs"]:
    assert r["start"] == at and r["length"] > 0, r
    at += r["length"]
    if r["type"] == "data":
        f = open(r["file"], "rb")
        f.seek(r["offset"])
        h.update(f.read(r["length"]))
    else:
        assert r["type"] == "zero", r
        h.update(bytes(r["length"]))
assert at == j["size"]
print(h.hexdigest())'
}

test_usage()
{
	v "version" 0 '^vhdctl [0-9]' --version
	v "help" 0 'Exit codes' --help
	v "help of a command" 0 '--parents-in DIR' attach --help
	v "unknown command" 1 "unknown command 'frob'" frob
	v "unknown option" 1 "unknown option '--frob'" info --frob x
	v "unknown letter" 1 "unknown option '-Z'" info -Z x
	v "option of another command" 1 "unknown option '--lazy'" info --lazy x
	v "missing value" 1 "option '--parent' needs a value" info --parent
	v "hint" 1 "see 'vhdctl info --help'" info
	v "operand missing" 1 'something is missing' attach
	v "operand too many" 1 "unexpected 'b'" info a b
	v "bad depth" 1 "does not take '256'" info --max-depth 256 x
	v "bad rule" 1 "does not take 'big'" info --size big x
	v "bad cache" 1 "does not take 'big'" attach --cache big x
	v "a mode of submission that is none" 1 'sideways' attach --submit sideways x
	v "interval without a number" 1 "watch does not take 'often'" status --watch=often x
	v "interval of nothing" 1 "watch does not take '0'" status --watch 0 x
	v "interval too long" 1 "watch does not take '86401'" status --watch=86401 x
	v "interval with two points" 1 "watch does not take '1.5.2'" status --watch 1.5.2 x
	v "interval is no operand" 1 'something is missing' status --watch 5
	v "no interval" 1 'something is missing' status --watch
	v "detach nothing" 1 'name devices or files' detach
	v "detach both" 1 'name devices or files' detach --all x
	v "detach lazy and force" 1 'exclude each other' detach --lazy --force x
	run "full disk" 1 'cannot write the output' sh -c "'$vhdctl' --help >/dev/full"
}

test_create()
{
	v "create dynamic" 0 '' create -s 100M d.vhd
	same "dynamic size" 104857600 "$(json 'j["size"]' "$vhdctl" info --json d.vhd)"
	same "dynamic type" dynamic "$(json 'j["type"]' "$vhdctl" info --json d.vhd)"
	same "creator" "win " "$(json 'j["creator"]' "$vhdctl" info --json d.vhd)"
	same "creator version" 10.0 "$(json 'j["creator_version"]' "$vhdctl" info --json d.vhd)"
	same "system" Wi2k "$(json 'j["creator_os"]' "$vhdctl" info --json d.vhd)"
	same "geometry" 1003/12/17 "$(json 'j["geometry"]' "$vhdctl" info --json d.vhd)"
	same "block size" 2097152 "$(json 'j["block_size"]' "$vhdctl" info --json d.vhd)"
	same "no parent" None "$(json 'j["parent"]' "$vhdctl" info --json d.vhd)"
	same "whole pages" 0 "$(($(stat -c %s d.vhd) % 4096))"
	same "both footers" "$(head -c 512 d.vhd | sha256sum)" "$(tail -c 512 d.vhd | sha256sum)"
	same "one run" 1 "$(json 'len(j["runs"])' "$vhdctl" map --json d.vhd)"
	v "create 512K" 0 '' create -s 33M -b 512K k.vhd
	same "512K blocks" 66 "$(json 'j["blocks"]' "$vhdctl" info --json k.vhd)"
	v "create fixed" 0 '' create -t fixed -s 3M f.vhd
	same "fixed length" $((3 * 1048576 + 512)) "$(stat -c %s f.vhd)"
	same "fixed space" yes "$([ "$(stat -c %b f.vhd)" -ge 6144 ] && echo yes)"
	v "check dynamic" 0 'd.vhd: clean' check d.vhd
	v "check 512K" 0 'clean' check k.vhd
	v "check fixed" 0 'clean' check f.vhd
	v "exists" 1 'File exists' create -s 1M d.vhd
	v "force" 0 '' create --force -s 7M k.vhd
	same "replaced" 7340032 "$(json 'j["size"]' "$vhdctl" info --json k.vhd)"
	v "no size" 1 'which size' create x.vhd
	v "odd size" 1 'not a multiple of 512' create -s 1000 x.vhd
	v "no number" 1 'not a number' create -s big x.vhd
	v "number too big" 1 'not a number' create -s 99999999T x.vhd
	v "bad block size" 1 'power of two' create -s 1M -b 3M x.vhd
	v "bad type" 1 "does not take 'sparse'" create -s 1M -t sparse x.vhd
	v "fixed has no blocks" 1 'no blocks' create -t fixed -b 2M -s 1M x.vhd
	v "too large" 7 'larger than' create -s 2041G x.vhd
	v "too large for 512K" 7 'larger than' create -s 2040G -b 512K x.vhd
	v "largest" 0 '' create -s 2040G big.vhd
	v "largest checks" 0 'clean' check big.vhd
	v "no directory" 1 'No such file' create -s 1M nowhere/x.vhd
	v "device node" 1 'not a regular file' create --force -s 1M /dev/null
	same "nothing left behind" "" "$(find . -name '.*.vhd.*' -o -name x.vhd)"
}

# Blocks of 1025 sectors in a row: one in eight starts on 4 KiB by chance.
test_alignment()
{
	local layer='"layout": {"data_align": 512, "bat": "spec"}, "runs": [[0, 8192, "name"]]'

	python3 "$root/tests/images/mkvhd.py" chain align >out --spec \
		'{"layers": [{"type": "dynamic", "size": "8M", "block": "512K", '"$layer}]}"
	same "misaligned" "7 of 8" "$(json 'j["misaligned"], "of", j["allocated"]' \
		"$vhdctl" info --json align/layer0.vhd | tr -d "(),'")"
	v "misaligned in words" 0 'alignment: +7 of 8 blocks are not 4 KiB-aligned' \
		info align/layer0.vhd
	"$vhdctl" info d.vhd >out
	same "aligned without a word" 0 "$(grep -c alignment out)"
}

test_child()
{
	mkdir -p sub "sub/ünï çödé"
	v "child" 0 '' create --parent d.vhd c1.vhd
	v "child elsewhere" 0 '' snapshot c1.vhd sub/c2.vhd
	v "child with odd names" 0 '' snapshot sub/c2.vhd "sub/ünï çödé/c3 %41.vhd"
	v "larger child" 0 '' create --parent c1.vhd -s 200M big-child.vhd
	v "smaller child" 0 '' create --parent c1.vhd -s 50M small-child.vhd
	v "child of fixed" 0 '' create --parent f.vhd -b 32K cf.vhd
	same "depth" 4 "$(json 'len(j["chain"])' "$vhdctl" info --chain --json "sub/ünï çödé/c3 %41.vhd")"
	same "type" differencing "$(json 'j["type"]' "$vhdctl" info --json sub/c2.vhd)"
	same "inherited size" 104857600 "$(json 'j["size"]' "$vhdctl" info --json sub/c2.vhd)"
	same "larger" 209715200 "$(json 'j["size"]' "$vhdctl" info --json big-child.vhd)"
	same "inherited block size" 2097152 "$(json 'j["block_size"]' "$vhdctl" info --json c1.vhd)"
	same "own block size" 32768 "$(json 'j["block_size"]' "$vhdctl" info --json cf.vhd)"
	same "parent found" ../c1.vhd "$(cd sub && json 'j["parent"]["file"]' "$vhdctl" info --json c2.vhd)"
	same "parent name" c1.vhd "$(json 'j["parent"]["name"]' "$vhdctl" info --json sub/c2.vhd)"
	v "child checks" 0 'clean' check "sub/ünï çödé/c3 %41.vhd"
	v "map of child" 0 'zero' map sub/c2.vhd
	same "fixed parent answers" "data 1" \
		"$(json 'j["runs"][0]["type"], j["runs"][0]["layer"]' "$vhdctl" map --json cf.vhd |
		tr -d "(),'")"
	same "one run over a fixed parent" 1 "$(json 'len(j["runs"])' "$vhdctl" map --json cf.vhd)"
	v "type of a child" 1 'leave out --type' create -t fixed --parent d.vhd x.vhd
	v "no parent file" 1 'No such file' create --parent none.vhd x.vhd
	echo text >text
	v "parent is no VHD" 2 'small' create --parent text x.vhd
	v "replace the own parent" 6 'in use' snapshot --force c1.vhd c1.vhd
	v "device" 7 'not supported' snapshot /dev/vhd99 x.vhd
	touch -d '2001-01-01' c1.vhd
	v "time stamp" 0 'warning: .*time stamp' check sub/c2.vhd
	v "time stamp in info" 0 'warning: .*time stamp' info --chain sub/c2.vhd
	mv sub moved
	v "child moved within the tree" 0 'clean' check moved/c2.vhd
	mv moved sub
}

test_search()
{
	mkdir -p s/a s/b
	"$vhdctl" create -s 10M s/a/base.vhd
	"$vhdctl" create --parent s/a/base.vhd s/a/leaf.vhd
	"$vhdctl" create -s 10M s/b/base.vhd
	mv s/a/leaf.vhd s/b/leaf.vhd
	v "right one behind a namesake" 0 'clean' check s/b/leaf.vhd
	same "by id" "$PWD/s/a/base.vhd" "$(json 'j["chain"][1]["file"]' "$vhdctl" info --chain --json s/b/leaf.vhd)"
	mv s/a s/c
	v "wrong id" 5 'another unique id' info --chain s/b/leaf.vhd
	v "wrong id lists" 5 'tried s/b/base.vhd .W2ru' map s/b/leaf.vhd
	v "wrong id lists all" 5 'tried .*/s/a/base.vhd .W2ku' map s/b/leaf.vhd
	v "wrong id accepted" 0 'zero' map --ignore-id-mismatch s/b/leaf.vhd
	v "wrong id in check" 5 'another unique id' check s/b/leaf.vhd
	v "wrong id in attach" 5 'another unique id' attach s/b/leaf.vhd
	v "named" 0 'zero' map --parent s/c/base.vhd s/b/leaf.vhd
	v "named wrongly" 5 'tried .*--parent' map --parent d.vhd s/b/leaf.vhd
	rm s/b/base.vhd
	v "not found" 4 'parent not found' info --chain s/b/leaf.vhd
	same "what is found is described" "leaf.vhd" \
		"$(json 'j["chain"][0]["file"].split("/")[-1] + ".x" * (len(j["chain"]) - 1)' \
		"$vhdctl" info --chain --json s/b/leaf.vhd)"
	v "not found lists W2ru" 4 'tried s/b/base.vhd .W2ru' attach s/b/leaf.vhd
	v "not found lists W2ku" 4 'tried .*/s/a/base.vhd .W2ku' check s/b/leaf.vhd
	v "info needs no parent" 0 'not found' info s/b/leaf.vhd
	v "below a directory" 0 'zero' map --parents-in s/c s/b/leaf.vhd
	v "below another" 4 'not found' map --parents-in s/b s/b/leaf.vhd
	v "no such directory" 1 'parents-in' map --parents-in s/none s/b/leaf.vhd
	ln -s ../c/base.vhd s/b/base.vhd
	v "symbolic link" 0 'zero' map s/b/leaf.vhd
	v "link out of the directory" 4 'not found' map --parents-in s/b s/b/leaf.vhd
	v "no locators" 4 'not found' map --no-locators s/b/leaf.vhd
	v "no locators but named" 0 'zero' map --no-locators --parent s/c/base.vhd s/b/leaf.vhd
	v "depth" 7 'limit 1' map --max-depth 1 s/b/leaf.vhd
	rm s/b/base.vhd
	mkfifo s/b/base.vhd
	v "FIFO" 4 'neither a regular file' map s/b/leaf.vhd
	rm s/b/base.vhd
	ln -s /dev/zero s/b/base.vhd
	v "character device" 4 'neither a regular file' map s/b/leaf.vhd
	ln -sf /proc/cpuinfo s/b/base.vhd
	v "kernel file" 4 'neither a regular file' map s/b/leaf.vhd
	v "kernel file itself" 7 'neither' info /proc/cpuinfo
	v "directory" 7 'neither' info s
	rm s/b/base.vhd
	ln s/b/leaf.vhd s/b/base.vhd
	id=$(json 'j["id"].replace("-", "")' "$vhdctl" info --json s/b/leaf.vhd)
	edit s/b/leaf.vhd set header 40 "$id" seal header
	v "cycle" 2 'same file twice' map s/b/leaf.vhd
}

test_raw_parent()
{
	"$vhdctl" create --parent d.vhd raw-child.vhd
	edit raw-child.vhd set header 40 00000000000000000000000000000000 seal header
	truncate -s 4M disk.raw
	v "raw unnamed" 4 'named as such' map raw-child.vhd
	v "raw named" 0 'data +1 ' map --parent disk.raw raw-child.vhd
	v "raw in info" 0 'raw' info --chain --parent disk.raw raw-child.vhd
	v "dynamic as raw" 5 'wants a raw parent' map --parent d.vhd raw-child.vhd
}

test_locks()
{
	python3 - c1.vhd d.vhd <<'PY' &
import fcntl, os, struct, sys, time
for path in sys.argv[1:]:
    fd = os.open(path, os.O_RDWR)
    fcntl.fcntl(fd, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
open("locked", "w").close()
time.sleep(600)
PY
	local holder=$!

	while [ ! -e locked ]; do
		sleep 0.1
	done
	v "locked" 6 'd.vhd: is in use' info d.vhd
	v "locked for check" 6 'in use' check d.vhd
	v "locked for repair" 6 'in use' check --repair d.vhd
	v "locked parent" 6 'c1.vhd.*in use' map sub/c2.vhd
	v "locked for attach" 6 'in use' attach d.vhd
	v "locked for replacement" 6 'in use' create --force -s 1M d.vhd
	kill "$holder"
	wait "$holder" 2>/dev/null || true
	v "unlocked" 0 'clean' check d.vhd
}

# fault NAME FAULT CODE EDIT...: a fresh dynamic image, changed and checked
fault()
{
	local name=$1 fault=$2 code=$3

	shift 3
	cp template.vhd x.vhd
	edit x.vhd "$@"
	v "$fault: $name" "$code" "\"fault\": \"$fault\"" check --json x.vhd
}

test_faults()
{
	"$vhdctl" create -s 9M -b 512K template.vhd
	fault "checksum" footer-checksum 2 set end 64 00000000 set copy 64 00000000
	fault "end bad" footer-end-missing 2 set end 64 00000000
	fault "copy bad" footer-copy 2 set copy 64 00000000
	fault "copy differs" footer-copy 2 set end 84 01 seal end
	fault "type" footer-type 2 set end 60 00000005 seal end twin
	fault "version" footer-version 7 set end 12 00020000 seal end twin
	fault "offset" footer-data-offset 2 set end 16 0000000000000001 seal end twin
	fault "size" footer-size 2 set end 48 0000000000000000 seal end twin
	fault "cookie" header-cookie 2 set header 0 00
	fault "checksum" header-checksum 2 set header 36 00000000
	fault "table" header-table-offset 2 set header 16 0000000000000001 seal header
	fault "entries" header-entries 2 set header 28 00000001 seal header
	fault "block size" header-block-size 2 set header 32 00080001 seal header
	fault "block size range" block-size-range 7 set header 32 00000800 seal header
	fault "version" header-version 7 set header 24 00020000 seal header
	fault "outside" bat-range 2 set file 0x1000 00100000
	fault "on the header" bat-range 2 set file 0x1000 00000001
	fault "twice" bat-overlap 2 grow 0x100000 set file 0x1000 0000001700000017
	fault "half" bat-overlap 2 grow 0x100000 set file 0x1000 0000001700000217
	fault "poison" poison 7 text end 0 v_poison text copy 0 v_poison
	cp template.vhd x.vhd
	edit x.vhd set end 40 ff set end 85 01 set end 200 ff seal end twin
	v "reserved bytes are legal" 0 'clean' check x.vhd
	"$vhdctl" create --force --parent template.vhd x.vhd
	edit x.vhd set header 576 41424344 seal header
	v "locator code" 0 'locator-code' check x.vhd
	edit x.vhd set header 576 57327275 set header 592 00000000ffffff00 seal header
	v "locator range" 2 'locator-range' check x.vhd
	v "locator elsewhere still leads" 0 'zero' map x.vhd
	v "no VHD" 2 'no-footer|no VHD footer' check /bin/sh
	v "too small" 2 'too small' check text
	v "no file" 1 'No such file' check none.vhd
}

. "$root/tests/host/vhdctl_cut.sh"
# shellcheck source-path=SCRIPTDIR
. "$root/tests/host/vhdctl_set.sh"

test_repair()
{
	local before

	"$vhdctl" create --force -s 9M -b 512K template.vhd
	cp template.vhd x.vhd
	edit x.vhd set end 64 00000000
	before=$(stat -c %s x.vhd)
	v "end missing" 2 'repairable' check x.vhd
	v "end mended" 0 'footers repaired' check --repair x.vhd
	v "end mended for good" 0 'clean' check x.vhd
	same "in place" "$before" "$(stat -c %s x.vhd)"
	identical "mended image is the old one" template.vhd x.vhd
	edit x.vhd set copy 0 0000
	v "copy mended" 0 'footers repaired' check --repair x.vhd
	identical "mended copy is the old one" template.vhd x.vhd
	edit x.vhd cut 1
	v "511 bytes" 2 'short-footer' check x.vhd
	v "511 bytes read" 0 '511' info x.vhd
	v "511 bytes mended" 0 'footers repaired' check --repair x.vhd
	identical "completed image is the old one" template.vhd x.vhd
	edit x.vhd cut 100
	v "torn end" 0 'footers repaired' check --repair x.vhd
	v "torn end mended" 0 'clean' check x.vhd
	"$vhdctl" create --force --parent template.vhd x.vhd
	edit x.vhd set end 0 00
	v "forged copy leads nowhere" 4 'check --repair' map x.vhd
	v "forged copy with a name" 0 'zero' map --parent template.vhd x.vhd
	v "child mended" 0 'clean' check --repair x.vhd
	v "mended child maps" 0 'zero' map x.vhd
	# Room for one block at sector 23; the footer is at 1055 then.
	edit template.vhd grow 0x81000 set file 0x1000 00000017
	v "a block" 0 'clean' check template.vhd
	same "block allocated" 1 "$(json 'j["allocated"]' "$vhdctl" info --json template.vhd)"
	cp template.vhd x.vhd
	edit x.vhd set file 0x1000 ffffffff
	v "leak" 3 'used by nothing' check x.vhd
	same "leaked bytes" yes \
		"$([ "$(json 'j["leaked_bytes"]' "$vhdctl" check --json x.vhd)" -ge 524288 ] && echo yes)"
	cp template.vhd x.vhd
	edit x.vhd set file 0x1000 0000001f
	v "cut block" 2 'block-cut' check x.vhd
	limited_repair
	cut_child
	v "cut block mended" 0 'clean' check --repair x.vhd
	same "whole pages" 0 "$(($(stat -c %s x.vhd) % 4096))"
}

test_azure()
{
	v "Azure: fixed" 7 'smaller than 20 MiB' check --azure f.vhd
	"$vhdctl" create -t fixed -s 20M a.vhd
	v "Azure: fit" 0 'clean' check --azure a.vhd
	v "Azure: dynamic" 7 'not fixed' check --azure d.vhd
}

test_hostile_text()
{
	"$vhdctl" create --force --parent d.vhd x.vhd
	edit x.vhd set header 64 001b005b0033003100000000 seal header
	mv d.vhd away.vhd
	"$vhdctl" map x.vhd >out 2>&1 || true
	mv away.vhd d.vhd
	if grep -q $'\033' out; then
		bad "escape sequence reaches the terminal"
	else
		ok
	fi
	v "name in JSON" 0 'u001b' info --json x.vhd
}

test_qemu()
{
	command -v qemu-img >/dev/null || { skip "qemu-img: not installed"; return; }
	for f in d f; do
		same "qemu-img: size of $f" "$(json 'j["size"]' "$vhdctl" info --json $f.vhd)" \
			"$(json 'j["virtual-size"]' qemu-img info --output json -f vpc $f.vhd)"
	done
	head -c 3M /dev/urandom >r.raw
	truncate -s 20M r.raw
	qemu-img convert -f raw -O vpc -o force_size=on r.raw q.vhd
	v "image of qemu-img" 0 'clean' check q.vhd
	same "map of it" "$(sha256sum <r.raw | cut -d' ' -f1)" "$(flat q.vhd)"
	qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on r.raw qf.vhd
	v "fixed image of qemu-img" 0 'clean' check qf.vhd
	"$vhdctl" create --force --parent q.vhd x.vhd
	same "map through a child" "$(sha256sum <r.raw | cut -d' ' -f1)" "$(flat x.vhd)"
	cp d.vhd w.vhd
	qemu-io -f vpc -c 'write -P 0x5a 5M 1M' w.vhd >/dev/null
	v "our image written by qemu-io" 0 'clean' check w.vhd
	qemu-img convert -f vpc -O raw w.vhd w.raw
	same "bytes of qemu-io" "$(sha256sum <w.raw | cut -d' ' -f1)" "$(flat w.vhd)"
}

test_7zip()
{
	local tool

	tool=$(command -v 7zz || true)
	[ -n "$tool" ] || { skip "7-Zip: not installed"; return; }
	[ -e w.vhd ] || { skip "7-Zip: no image of qemu-io"; return; }
	same "7-Zip reads it" "$(flat w.vhd)" "$("$tool" e -tVHD -so w.vhd 2>err | sha256sum | cut -d' ' -f1)"
	"$vhdctl" create --force --parent w.vhd x.vhd
	same "7-Zip reads a child" "$(flat x.vhd)" "$("$tool" e -tVHD -so x.vhd 2>err | sha256sum | cut -d' ' -f1)"
}

test_real()
{
	[ -e "$images/tap-leaf.vhd.xz" ] || { skip "real images: not in $images"; return; }
	mkdir real
	for f in "$images"/*.vhd.xz; do
		xz -dkc "$f" >"real/$(basename "$f" .xz)"
	done
	cd real
	while read -r name hash; do
		same "flat $name" "$hash" "$(flat "$name.vhd")"
		v "check $name" 0 'clean' check "$name.vhd"
	done <<-LIST
		tap-base ad299fdc9695681d291d553a09c4b90e4b5f3ba1c71afff0bb6df0148079e8f5
		tap-mid 9994e9834c98488a535e79c78c5dc9e763666a6c465b6603fb6426f65bd4a4f9
		tap-leaf 4ac2fe9120255287f5d9bebf4443cf4a4b0e7ba4be3fef0e382accf463e1c381
		qemu-ext2 870be7ae16c1fa8faab05c6eb9205dc9a7ae35c5f552c5cf8a267c0bc6a5cb99
	LIST
	v "Windows child" 4 'id 5fa21a55-f394-aa4d-9958-1951a67d5540' map windows10-child.vhd
	v "relative path tried" 4 'tried fat-parent.vhd' map windows10-child.vhd
	v "absolute path tried" 4 'tried /Projects/dfvfs/test_data/fat-parent.vhd' map windows10-child.vhd
	same "Virtual PC" 136363130880 "$(json 'j["size"]' "$vhdctl" map --json virtualpc-dynamic.vhd)"
	same "Virtual PC, current" 136365211648 \
		"$(json 'j["size"]' "$vhdctl" map --json --size current virtualpc-dynamic.vhd)"
	same "Hyper-V" "136365211648 1" \
		"$(json 'str(j["size"]) + " " + str(len(j["runs"]))' "$vhdctl" map --json hyperv2012r2-dynamic.vhd)"
	cd ..
}

[ -x "$vhdctl" ] || { echo "vhdctl_test: $vhdctl is missing; build it first"; exit 1; }
test_usage
test_create
test_alignment
test_child
test_search
test_raw_parent
test_locks
test_faults
test_repair
test_azure
test_set
test_hostile_text
test_qemu
test_7zip
test_real
echo "$passed passed, $failed failed$([ $skipped -eq 0 ] || echo ", $skipped skipped")"
[ $failed -eq 0 ]
