#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Part of vhdctl_test.sh, whose functions and variables it uses: blocks that the end
# of the file cuts.
# shellcheck disable=SC2154
set -eu

# A repair that stops halfway, for want of space behind the file: the block reads
# as before, and the next repair goes on from there.
limited_repair()
{
	local before

	cp x.vhd y.vhd
	# All bits set: the footer would be seen as data if it were still there.
	edit y.vhd set file 0x3e00 "$(printf 'ff%.0s' {1..128})"
	before=$(flat y.vhd)
	run "cut block, no space" 1 'File too large' bash -c \
		"trap '' XFSZ; ulimit -f $(($(stat -c %s y.vhd) / 1024)); \
		'$vhdctl' check --repair y.vhd"
	v "only the copy is left" 2 'footer-end-missing' check y.vhd
	same "it reads as before" "$before" "$(flat y.vhd)"
	v "half a repair mended" 0 'clean' check --repair y.vhd
	same "it still reads as before" "$before" "$(flat y.vhd)"
}

# A child whose only block begins at its end, with clear bits: all is the parent's.
cut_child()
{
	local parent

	cp template.vhd parent.vhd
	edit parent.vhd set file 0x2e00 "$(printf 'ff%.0s' {1..128})" text file 0x50000 'below'
	parent=$(flat parent.vhd)
	"$vhdctl" create --force --parent parent.vhd y.vhd
	same "child without a block" "$parent" "$(flat y.vhd)"
	python3 - y.vhd <<-'PY'
		import struct, sys
		with open(sys.argv[1], "r+b") as f:
		    data = bytearray(f.read())
		    footer = data[-512:]
		    table = struct.unpack_from(">Q", data, 512 + 16)[0]
		    sector = len(data) // 512
		    struct.pack_into(">I", data, table, sector)
		    f.seek(0)
		    f.write(data + bytes(8 * 512) + footer)
	PY
	v "child with a cut block" 2 'block-cut' check y.vhd
	same "behind a cut its parent shows" "$parent" "$(flat y.vhd)"
}
