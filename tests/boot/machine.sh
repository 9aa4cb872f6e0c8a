# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2154 # sourced by "system", which has set the rest
# One boot of the system, from power-on to its end.

BOOT_SECONDS=1800
more=() expect=()
# A system that says so will not go on.
STUCK='Entering emergency mode|You are in emergency mode|Press Enter for maintenance|'
STUCK+='Dropping to a shell|^\(initramfs\)|Kernel panic|dracut:/#|Cannot open access to console'
# Nothing good comes with these.
COMPLAINTS='Failed (unmounting|to unmount|to stop|to start)|still in use|Call Trace|'
COMPLAINTS+='BUG:|WARNING: CPU|Kernel panic|I/O error|blocked for more than|vhdblk: rd\.vhd'

# machine QEMU-ARGUMENT...: in the background, as $qemu, with its words in $log.*. It has
# the disks B and A, and those in $more; what look is to expect is in $expect.
machine() {
	local drives
	mapfile -t drives < <(disks "$top/b" "$top/a" "${more[@]}")
	rm -f "$log.console" "$log.said"
	setpriv --pdeathsig KILL qemu-system-x86_64 \
		-accel tcg,thread=multi -cpu max -smp 2 -m 2048 \
		-machine q35 -nodefaults -display none -no-reboot -no-user-config \
		-serial "file:$log.console" -serial "file:$log.said" -device virtio-rng-pci \
		-smbios "type=1,serial=${expect[*]}" "${drives[@]}" "$@" \
		< /dev/null > "$log.qemu" 2>&1 &
	qemu=$!
}

disks() { # FILE...
	local n=0 file
	for file; do
		printf '%s\n' -drive \
			"file=$file,format=raw,if=none,id=d$n,cache=unsafe,discard=unmap" \
			-device "virtio-blk-pci,drive=d$n"
		n=$((n + 1))
	done
}

# Until the machine ends, or says that it is stuck; 1 if it had to be switched off.
watch() {
	local left=$BOOT_SECONDS
	while [ "$left" -gt 0 ] && kill -0 "$qemu" 2> /dev/null; do
		sleep 2
		left=$((left - 2))
		plain < "$log.console" | grep -aE "$STUCK" > "$log.stuck" || continue
		# What comes next may explain it.
		sleep 10
		break
	done
	if ! kill "$qemu" 2> /dev/null; then
		wait "$qemu"
		return
	fi
	wait "$qemu" || :
	echo "# switched off: $(head -n 1 "$log.stuck" || echo no time left)"
	return 1
}

# Words for the kernel. With panic= there would be no shell to ask for help in.
command_line() { # WORD...
	echo "console=ttyS0 mitigations=off tsc=reliable rcupdate.rcu_cpu_stall_timeout=180" \
		"ro root=UUID=$inner_uuid $*"
}

# start WORD...: with the kernel from the tree
start() {
	machine -kernel "$top/root/boot/vmlinuz-$kernel" \
		-initrd "$top/root/boot/initrd.img-$kernel" \
		-append "$(command_line "$@")"
}

quiet_console() {
	! plain < "$log.console" | grep -aE "$COMPLAINTS"
}

# What the system said of itself goes where what we say goes.
retell() { # TEXT
	plain < "$log.said" | sed "s/ok - /&$1: /"
	check "$1: all was looked at" grep -q '^end' "$log.said"
}

# boot TEXT WORD...: a boot that is to go well
boot() {
	local text=$1
	log=$logs/$name.${1// /-}
	shift
	start "$@"
	goes_well "$text"
}

# boot_stuck TEXT PATTERN WORD...: one that cannot go well, says why, and hands over to
# whoever is there
boot_stuck() {
	local text=$1 why=$2
	log=$logs/$name.${1// /-}
	shift 2
	start "$@"
	check "$text: the system does not boot, nor end" not watch
	check "$text: it asks for help, and does not hang" test -s "$log.stuck"
	check "$text: it says why" on_console "$why"
}

not() { ! "$@"; }

on_console() { # PATTERN
	plain < "$log.console" | grep -aE "$1" && return
	# Whole lines: what stands behind half of one is not counted.
	plain < "$log.console" | tail -n 30 | sed 's/^/# /'
	echo
	false
}

goes_well() { # TEXT: this machine
	local text=$1
	check "$text: the system boots, and ends by itself" watch
	retell "$text"
	check "$text: nothing is wrong on the console" quiet_console
}
