#compdef vhdctl
# SPDX-License-Identifier: GPL-2.0
# Completion of vhdctl for zsh. The program itself knows its words; where it says
# nothing, they are names of files.

_vhdctl()
{
	local -a lines

	lines=("${(@f)$("${words[1]}" --complete "${(@)words[2,CURRENT]}" 2> /dev/null)}")
	if [[ -z "${lines[1]}" ]]; then
		_files
		return
	fi
	lines=("${(@)lines/$'\t'/:}")
	_describe vhdctl lines
}

_vhdctl "$@"
