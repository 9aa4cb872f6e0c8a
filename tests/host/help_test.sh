#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# What vhdctl says of itself: help that fits a screen, completion in three shells, and a
# manual page that knows each command and option. Nothing here names any of them: new
# ones are tested as they come.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
vhdctl=${VHDCTL:-$root/build/vhdctl}
page=$root/Documentation/vhdctl.8
lines=24 columns=80
passed=0 failed=0 skipped=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What completion runs is what stands first on the path.
mkdir "$work/bin"
ln -s "$vhdctl" "$work/bin/vhdctl"
PATH=$work/bin:$PATH

same() { # NAME WANTED GOT
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1))
		printf 'not ok - %s\n    wanted %s\n    got    %s\n' "$1" "$2" "$3"
	fi
}

skip() { # WHAT
	skipped=$((skipped + 1))
	echo "skip $1"
}

fits() { # NAME ARGUMENT...
	local name=$1

	shift
	vhdctl "$@" > "$work/help"
	same "$name fits a screen" yes "$(awk -v lines="$lines" -v columns="$columns" '
		length($0) > columns { print "line of " length($0) ": " $0 }
		END { if (NR > lines) print NR " lines"; print "yes" }' "$work/help")"
}

# Commands and options as people read them.
commands() { vhdctl --help | sed -n 's/^  \([a-z]*\) .*/\1/p'; }
options() { vhdctl "$1" --help | sed -nE 's/^  (-., |    )(--[a-z-]+).*/\2/p'; }

# shellcheck disable=SC2016
by_bash() { # WORD...
	bash -c '. "$1"; shift; COMP_WORDS=(vhdctl "$@") COMP_CWORD=$#; _vhdctl
		printf "%s\n" "${COMPREPLY[@]}"' sh "$root/tools/vhdctl/completion.bash" "$@"
}

# The widgets stand in for the real ones, which want a terminal.
# shellcheck disable=SC2016
by_zsh() { # WORD...
	zsh -fc '_describe() { print -l -- "${(@)${(@P)2}%%:*}"; }; _files() { print; }
		file=$1; shift; words=(vhdctl "$@") CURRENT=$#words; . $file' sh \
		"$root/tools/vhdctl/completion.zsh" "$@"
}

# shellcheck disable=SC2016
by_fish() { # WORD...
	HOME=$work fish -c 'source $argv[1]; complete -C "vhdctl $argv[2..-1]"' \
		"$root/tools/vhdctl/completion.fish" "$@" | cut -f 1
}

in_words() { sort | tr '\n' ' '; }

# Commands, options, and the values of one option.
completes() { # SHELL
	local shell=$1 command

	same "$shell: commands" "$(commands | in_words)" "$("by_$shell" '' | in_words)"
	for command in "${all[@]}"; do
		same "$shell: options of $command" "$(options "$command" | in_words)" \
			"$("by_$shell" "$command" -- | in_words)"
	done
	same "$shell: prefix" "--parent --parents-in " "$("by_$shell" map --par | in_words)"
	same "$shell: values" "buffered direct " "$("by_$shell" attach --cache '' | in_words)"
	same "$shell: values of a letter" "dynamic fixed " "$("by_$shell" create -t '' | in_words)"
}

mapfile -t all < <(commands)
same "there are commands" yes "$([ "${#all[@]}" -ge 10 ] && echo yes)"
fits "help"  --help
for command in "${all[@]}"; do
	fits "help of $command" "$command" --help
	same "$command has options" yes "$([ -n "$(options "$command")" ] && echo yes)"
	same "$command in the manual" yes \
		"$(grep -qE "^\.(SY vhdctl\\\\ |RB \[ )$command\>" "$page" && echo yes)"
	for option in $(options "$command"); do
		same "$option of $command in the manual" yes \
			"$(sed 's/[\]//g' "$page" | grep -qE -- "$option([^a-z-]|$)" && echo yes)"
	done
done
for shell in bash zsh fish; do
	if command -v "$shell" > /dev/null; then
		completes "$shell"
	else
		skip "$shell: not installed"
	fi
done
make -s -C "$root/tools/vhdctl" install DESTDIR="$work/root" > "$work/log" 2>&1 || cat "$work/log"
same "installed" "1 1 1" "$(find "$work/root" -name vhdctl -path '*bash-completion*' | wc -l) $(
	find "$work/root" -name _vhdctl | wc -l) $(find "$work/root" -name vhdctl.fish | wc -l)"
echo "$passed passed, $failed failed$([ $skipped -eq 0 ] || echo ", $skipped skipped")"
[ $failed -eq 0 ]
