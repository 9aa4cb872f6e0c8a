# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=sh disable=SC2154 # sourced by vhdblk-boot, which has set the rest
#
# The part of vhdblk-boot that mounts, attaches and detaches.

ntfs_hint='; Windows has not let go of it, or it is damaged: start Windows, turn fast startup
off and shut down; or let "chkdsk /f" mend it'

# Where we have mounted the file system of a device, or nothing.
host_of() { # DEVICE
	while read -r from where _; do
		case $where in
		"$state"/host/*) [ "$from" != "$1" ] || echo "$where" ;;
		esac
	done < /proc/mounts
}

may_write() { # DIRECTORY OF A MOUNT
	now=ro
	while read -r _ where _ flags _; do
		[ "$where" != "$1" ] || now=$flags
	done < /proc/mounts
	case ,$now, in
	*,ro,*) return 1 ;;
	esac
}

# Which drivers for NTFS can write, and may be trusted with it: "ntfs" of old kernels only
# reads, and so does what 6.9 and later call by this name; "ntfs3" is new in 5.15.
ntfs_drivers() {
	release=$(uname -r)
	major=${release%%.*}
	minor=${release#*.}
	minor=${minor%%[!0-9]*}
	version=$((major * 100 + minor))
	[ "$version" -lt 701 ] || echo ntfs
	[ "$version" -lt 606 ] || echo ntfs3
	echo ntfs-3g
}

mount_ntfs() { # DEVICE DIRECTORY FLAGS
	for driver in $(ntfs_drivers); do
		case $driver in
		ntfs-3g)
			command -v ntfs-3g > /dev/null || continue
			modprobe -q fuse
			# systemd spares a process whose name begins so, without a directory: it
			# serves the root.
			ln -sf "$(command -v ntfs-3g)" /run/@ntfs-3g
			# shellcheck disable=SC2123 # what it is for
			(PATH=/run; exec @ntfs-3g "$1" "$2" -o "$3") 2>&1 && return 0
			;;
		*)
			modprobe -q "$driver" || continue
			mount -t "$driver" -o "$3" "$1" "$2" 2>&1 && return 0
			;;
		esac
	done
	return 1
}

# What the mount says; nothing, with status 1, if there is no driver.
mount_device() { # DEVICE DIRECTORY FLAGS TYPE
	if [ "$4" = ntfs ]; then
		mount_ntfs "$1" "$2" "$3"
	else
		modprobe -q "$4"
		mount -t "$4" -o "$3" "$1" "$2" 2>&1
	fi
}

# Sets why if it fails.
mount_host() { # DEVICE DIRECTORY ro|rw
	type=${VHD_FSTYPE:-$(blkid -p -s TYPE -o value "$1")}
	hint=
	[ "$type" != ntfs ] || hint=$ntfs_hint
	why="there is no file system on $1"
	[ -n "$type" ] || return 1
	if ! words=$(mount_device "$1" "$2" "$3,noatime${VHD_FLAGS:+,$VHD_FLAGS}" "$type"); then
		why="cannot mount $1 ($type): ${words:-the initramfs has no driver}$hint"
		return 1
	fi
	[ "$3" = rw ] || return 0
	may_write "$2" && return 0
	why="$1 ($type) can be mounted for reading only$hint"
	umount "$2"
	return 1
}

# Prints where a device's file system is. One that only has parents is not written: a
# crash leaves it as it was.
host() { # DEVSPEC ro|rw
	device=$(find_device "$1")
	dir=$(host_of "$device")
	if [ -n "$dir" ]; then
		if [ "$2" = rw ] && ! may_write "$dir"; then
			mount -o remount,rw "$device" "$dir" || return 1
		fi
		echo "$dir"
		return 0
	fi
	n=0
	while ! mkdir "$state/host/$n" 2> /dev/null; do
		n=$((n + 1))
	done
	dir=$state/host/$n
	if mount_host "$device" "$dir" "$2"; then
		echo "$dir"
		return 0
	fi
	rmdir "$dir"
	echo "$why" >&2
	return 1
}

# Prints the path of a place; without a device it is on that of the image.
place() { # PLACE ro|rw
	split_place "$1"
	place_path=$path
	dir=$(host "$(unescape "${dev:-$image_dev}")" "$2") || return 1
	echo "$dir$(unescape "$place_path")"
}

# Arguments of vhdctl are kept one a line: what came on the kernel's command line has no
# line feeds. Those about parents are for "create", too.
parent_argument() { # NAME VALUE
	case $1 in
	parent|parents-in)
		found=$(place "$2" ro) || return 1
		printf -- '--%s\n%s\n' "$1" "$found"
		;;
	no-locators|ignore-id-mismatch) echo "--$1" ;;
	max-depth|size) printf -- '--%s\n%s\n' "$1" "$2" ;;
	esac
}

device_argument() { # NAME VALUE
	case $1 in
	ro|read-only) echo --read-only ;;
	no-partscan) echo --no-partscan ;;
	name|cache|submit) printf -- '--%s\n%s\n' "$1" "$(unescape "$2")" ;;
	esac
}

call_vhdctl() { # COMMAND ARGUMENTS FILE
	command=$1 arguments=$2 file=$3
	ifs=$IFS
	IFS='
'
	set -f
	# shellcheck disable=SC2086 # one a line
	set -- $arguments
	set +f
	IFS=$ifs
	vhdctl "$command" "$@" -- "$file"
}

# A throw-away child lies in memory, in a file system of its own: that has a limit.
memory() {
	dir=$state/host/memory
	if mkdir "$dir" 2> /dev/null; then
		mount -t tmpfs -o mode=0700,size=50% vhd-snapshot "$dir" || return 1
	fi
	echo "$dir"
}

# Prints the child that takes the writes; makes it if there is none yet.
child() { # ARGUMENTS
	if [ "$snapshot" = tmpfs ]; then
		file=$(memory)/${entry##*/}.vhd || return 1
	else
		file=$(place "$snapshot" rw) || return 1
	fi
	if [ ! -e "$file" ]; then
		call_vhdctl create "$1" "$file" >&2 || return 1
	fi
	echo "$file"
}

look_for_mode() { # NAME VALUE
	case $1 in
	ro|read-only) mode=ro ;;
	snapshot)
		mode=ro
		snapshot=${2:-tmpfs}
		;;
	esac
}

# Prints the device, and which file is its leaf.
attach_image() {
	image_host=$(host "$(unescape "$image_dev")" "$mode") || return 1
	leaf=$image_host$(unescape "$image_path")
	parents=$(for_options "$image_options" parent_argument) || return 1
	if [ -n "$snapshot" ]; then
		parents="--parent
$leaf
$parents"
		leaf=$(child "$parents") || return 1
	fi
	echo "leaf $leaf"
	call_vhdctl attach "$parents
$(for_options "$image_options" device_argument)" "$leaf"
}

# Prints what has become of it: SPEC, and in further lines the device and its leaf.
attach_one() { # SPEC
	split_spec "$1"
	image_path=$path image_dev=$dev image_options=$options
	mode=rw snapshot=
	for_options "$image_options" look_for_mode
	status=0
	words=$(attach_image 2>&1) || status=$?
	printf '%s\n%s\n' "$1" "$words"
	[ "$status" -ne 0 ] || return 0
	say "rd.vhd=$1: not attached"
	printf '%s\n' "$words" | sed '/^leaf /d' | while read -r line; do
		say "  ${line#vhdctl: }"
	done
	return 1
}

hosts_mounted() {
	while read -r _ where _; do
		case $where in
		*/vhd/host/*) echo "$where" ;;
		esac
	done < /proc/mounts
}

devices() {
	for one in /sys/block/vhd*; do
		[ ! -e "$one/vhd" ] || echo "/dev/${one##*/}"
	done
}

detach() { # ''|final
	words=$([ -z "$(devices)" ] || vhdctl detach --all 2>&1)
	for dir in $(hosts_mounted); do
		words="$words $(umount "$dir" 2>&1)"
	done
	left=$(devices; hosts_mounted)
	[ -n "$left" ] || return 0
	[ -z "$1" ] || printf '%s\n' "$left" "$words" | while read -r line; do
		say "still in use: $line"
	done
	return 1
}
