# SPDX-License-Identifier: GPL-2.0
# Completion of vhdctl for bash. The program itself knows its words; where it says
# nothing, they are names of files.

_vhdctl()
{
	local words=("${COMP_WORDS[@]:1:COMP_CWORD}")

	mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" --complete "${words[@]}" 2> /dev/null |
		cut -f 1)
}

complete -o bashdefault -o default -F _vhdctl vhdctl
