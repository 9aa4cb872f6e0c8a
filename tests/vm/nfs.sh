# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# An NFS server in this machine and its client, for cases that source it behind
# lib.sh. The server can stop and come back.

# nfs_serve EXPORT...: lines of exports(5); nfs_end takes all of it away again, and belongs
# into the case's EXIT trap.
nfs_serve() {
	modprobe -q nfsd || skip "no NFS server in this kernel"
	modprobe -q nfsv4 || skip "no NFS client in this kernel"
	ip link set lo up
	mkdir -p /run/rpc_pipefs /var/lib/nfs/{v4recovery,sm}
	mountpoint -q /proc/fs/nfsd || mount -t nfsd nfsd /proc/fs/nfsd
	: > /var/lib/nfs/etab
	printf '%s\n' "$@" > /etc/exports
	pidof -q rpc.mountd || rpc.mountd -N 3 --no-udp
	exportfs -r
	# Seconds; less is refused, and the default of 90 is what a file's first
	# opening waits for.
	echo 10 > /proc/fs/nfsd/nfsv4gracetime
	echo 10 > /proc/fs/nfsd/nfsv4leasetime
	nfs_up
}

# nfs_start DIRECTORY OPTIONS [MOUNT-OPTIONS]: export it to this machine, mounted at
# /mnt/nfs
nfs_start() {
	nfs_serve "$1 127.0.0.1($2,fsid=0,no_subtree_check)"
	mkdir -p /mnt/nfs
	mount -t nfs4 -o "${3:-hard,timeo=20}" 127.0.0.1:/ /mnt/nfs
}

nfs_up() { rpc.nfsd -N 3 4; }
nfs_down() { echo 0 > /proc/fs/nfsd/threads; }

nfs_end() {
	nfs_up || :
	wait || :
	vhdctl detach --all --force > /dev/null 2>&1 || :
	! mountpoint -q /mnt/nfs || timeout 60 umount /mnt/nfs || umount -f -l /mnt/nfs || :
	nfs_down || :
	exportfs -ua || :
	pkill -x rpc.mountd || :
	umount /proc/fs/nfsd || :
}
