# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# What lies between two cases: kill, unmount, detach, and read the kernel log.

# Signs of a kernel bug.  Not "Call Trace": fault injection prints one too.
BAD='BUG:|Oops|kernel BUG|general protection|WARNING:|KASAN|UBSAN|KCSAN'
BAD+='|unable to handle|invalid opcode|divide error|stack segment'
BAD+='|INFO: task .* blocked|INFO: possible|INFO: trying|INFO: rcu|detected stalls|self-detected stall'
BAD+='|soft lockup|hard LOCKUP|possible .*(deadlock|locking)|inconsistent lock state'
BAD+='|suspicious RCU|scheduling while atomic|sleeping function called|held lock freed'
BAD+='|bad unlock balance|refcount_t:|corruption|use-after-free|kernel panic|nobody cared'
BAD+='|workqueue lockup|stack-out-of-bounds|Bad page|Objects remaining|still has .*objects'

processes() {
	local p c
	for p in /proc/[0-9]*; do
		# Kernel threads have no command line.  No fork here: they are dear in
		# an emulated machine.
		c=
		{ IFS= read -r -N 1 c <"$p/cmdline"; } 2>/dev/null
		[ -z "$c" ] || echo "${p#/proc/}"
	done
}

before_case() {
	pids_before=" $(processes | tr '\n' ' ') "
	mounts_before=$(wc -l </proc/self/mountinfo)
}

# new_processes: what runs now, did not before, and is not this script.
new_processes() {
	local p
	for p in $(processes); do
		case "$pids_before $$ $BASHPID " in
		*" $p "*) ;;
		*) [ ! -d "/proc/$p" ] || echo "$p" ;;
		esac
	done
}

kill_new() {
	local p i alive
	for i in $(seq 30); do
		alive=
		for p in $(new_processes); do
			kill -KILL "$p" 2>/dev/null && alive=yes
		done
		[ -n "$alive" ] || return 0
		[ "$i" -lt 3 ] || sleep 1
	done
	return 1
}

new_mounts() {
	tail -n "+$((mounts_before + 1))" /proc/self/mountinfo | awk '{ print $5 }' | tac
}

unmount_new() {
	local m
	for m in $(new_mounts); do
		m=$(printf '%b' "$m")
		timeout -k 5 60 umount "$m" 2>/dev/null ||
			timeout -k 5 60 umount -f -l "$m" 2>/dev/null
	done
}

# A frozen file system would keep its tasks from dying.
thaw_new() {
	local m
	for m in $(new_mounts); do
		timeout -k 5 10 fsfreeze -u "$(printf '%b' "$m")" 2>/dev/null
	done
}

devices() {
	local d
	for d in /sys/block/vhd*; do
		[ ! -e "$d" ] || echo "${d##*/}"
	done
}

detach_all() {
	local i
	timeout -k 5 60 vhdctl detach --all --force >/dev/null 2>&1
	for i in $(seq 30); do
		[ -n "$(devices)" ] || return 0
		sleep 1
	done
	return 1
}

# after_case: leave nothing; $left names what a passing case should not leave.
after_case() {
	left=
	thaw_new
	kill_new || {
		left="processes that cannot be killed"
		trusted=no
	}
	left+=$(devices | tr '\n' ' ')
	swapoff -a 2>/dev/null
	unmount_new
	if compgen -G '/sys/block/dm-*' >/dev/null; then
		timeout -k 5 60 dmsetup remove_all --force --retry >/dev/null 2>&1
	fi
	if compgen -G '/sys/block/loop*/loop' >/dev/null; then
		timeout -k 5 30 losetup -D 2>/dev/null
	fi
	# shellcheck disable=SC2034 # read by guest/cases
	[ -z "$(devices)" ] || detach_all || trusted=no
	rm -rf /scratch
	# A killed case may still say its status; the next one must not read it.
	while read -r -t 0.1 _ <&9; do :; done
}

# dmesg_since MARKER
dmesg_since() {
	dmesg | awk -v m="$1" 'seen { print } index($0, m) { seen = 1 }'
}

# without_foreign_races FILE: the kernel has data races of its own, which KCSAN
# reports; ours are those where the innermost function of one side is ours.
without_foreign_races() {
	awk '
		function end() { if (ours) printf "%s", report; report = ""; inside = 0 }
		/BUG: KCSAN/ { inside = 1; ours = 0; report = ""; first = 0 }
		!inside { print; next }
		{ report = report $0 "\n" }
		first && /\[vhdblk\]/ { ours = 1 }
		{ first = / (read|write|assert|race at|race by).*(bytes|unknown origin|task|interrupt)/ }
		/Reported by Kernel Concurrency Sanitizer/ { end() }
		END { end() }' "$1"
}

# dmesg_bad CASE FILE: print what is wrong; a case that provokes a message says
# so in its first lines: "# allow-dmesg: REGEX".
dmesg_bad() {
	local allow hits
	allow=$(sed -n '1,10s/^# allow-dmesg: *//p' "$1")
	hits=$(without_foreign_races "$2" |
		grep -vE "vhdblk-vm: begin${allow:+|$allow}" | grep -E "$BAD")
	[ -n "$hits" ] || return 1
	echo "--- the kernel log of this case:"
	tail -n 150 "$2"
}
