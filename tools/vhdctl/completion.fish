# SPDX-License-Identifier: GPL-2.0
# Completion of vhdctl for fish. The program itself knows its words; where it says
# nothing, they are names of files.

function __vhdctl_words
    set -l words (commandline -opc) (commandline -ct)
    command $words[1] --complete $words[2..-1] 2>/dev/null
end

complete -c vhdctl -n 'test -n "$(__vhdctl_words)"' -f
complete -c vhdctl -a '(__vhdctl_words)'
