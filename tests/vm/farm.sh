# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# A farm in one machine: an NFS server, and hosts in network and mount namespaces of
# their own, whose disks have one golden parent. Source it behind vhd.sh, nfs.sh,
# guide.sh and hosts.sh.

declare -A keeper

# on HOST CMD...
on() {
	local host=$1
	shift
	nsenter -t "${keeper[$host]}" -n -m "$@"
}

# host NAME NUMBER: a machine at 192.0.2.NUMBER
host() {
	local name=$1 bridge=farm
	ip netns add "$name"
	ip link add "v-$name" type veth peer name eth0 netns "$name"
	ip link set "v-$name" master $bridge up
	ip netns exec "$name" ip link set lo up
	ip netns exec "$name" ip link set eth0 up
	ip netns exec "$name" ip address add "192.0.2.$2/24" dev eth0
	# /sys is that of the namespace there, and mounts are its own.
	ip netns exec "$name" sleep infinity &
	keeper[$name]=$!
	wait_for 60 host_is_up "$name"
}

# The fork may not have become what it is to be yet.
host_is_up() {
	on "$1" test -e /sys/class/net/eth0
}

# cable HOST up|down
cable() { ip link set "v-$1" "$2"; }

# farm_start: the server and its files
farm_start() {
	scratch ext4
	mkdir -p /scratch/{golden,guests} /srv/farm
	# The root of this machine cannot be exported.
	mount -t tmpfs farm /srv/farm
	mkdir /srv/farm/{golden,guests}
	mount --bind /scratch/golden /srv/farm/golden
	mount --bind /scratch/guests /srv/farm/guests
	ip link add farm type bridge
	ip address add 192.0.2.1/24 dev farm
	ip link set farm up
	nfs_serve
	guide "$page" server
	golden /srv/farm/golden/debian.vhd 256M
	base=$(sha /srv/farm/golden/debian.vhd)
	host a 11
	guide "$page" identity on a
	host b 12
	on b sh -c "echo web2 > /sys/fs/nfs/net/nfs_client/identifier"
	guide "$page" client on a
	guide "$page" client on b
}

# device_of NAME
device_of() {
	vhdctl list --json | jq -r ".devices[] | select(.name == \"$1\").device"
}

# locked HOST FILE: counted; refused, and the file is named
locked() {
	local code=0
	on "$1" vhdctl attach --no-partscan --parents-in /net/golden "$2" > /tmp/said 2>&1 || code=$?
	same "$1 is refused: $2" "$code: $(head -n 1 /tmp/said)" "6: vhdctl: $2: is in use (locked)"
}

farm_end() {
	local host
	for host in "${!keeper[@]}"; do
		cable "$host" up || :
	done
	nfs_up || :
	vhdctl detach --all --force > /dev/null 2>&1 || :
	for host in "${!keeper[@]}"; do
		kill "${keeper[$host]}" || :
		ip netns delete "$host" || :
	done
	ip link delete farm || :
	nfs_end
}
