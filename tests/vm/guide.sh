# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Cases that do what a page of Documentation/admin-guide says, word for word; source it
# behind lib.sh. Such a page marks a literal block with a comment ".. run: LABEL".

# guide_block PAGE LABEL: the block, without its indent
guide_block() {
	awk -v label=".. run: $2" '
		$0 == label { found = 1; next }
		!found { next }
		/^  / { inside = 1; print substr($0, 3); next }
		inside && NF { exit }
		inside { print "" }' "Documentation/admin-guide/blockdev/$1.rst"
}

# guide PAGE LABEL [CMD...]: the block's commands, what stands behind a prompt, are
# done by a shell that CMD starts; counted.
guide() {
	local script=/tmp/guide.$1.$2
	guide_block "$1" "$2" |
		awk 'on || sub(/^# /, "") { print; on = /\\$/ }' > "$script"
	check "the guide has commands: $2" test -s "$script"
	check "the guide: $2" "${@:3}" bash -eu -o pipefail "$script"
}
