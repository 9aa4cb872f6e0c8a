// SPDX-License-Identifier: GPL-2.0
/* What fstab knows before anything is mounted: what lies behind the network, and what is used. */
#include <mntent.h>
#include <stdlib.h>
#include <string.h>

#include "vhdtab.h"

static bool is_below(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	while (len && dir[len - 1] == '/')
		len--;
	return !strncmp(path, dir, len) && (path[len] == '/' || !path[len]);
}

static bool is_network(const struct mntent *m)
{
	static const char *const types[] = {
		"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "afs", "ocfs2", "gfs2", "glusterfs",
		"fuse.glusterfs", "fuse.sshfs", "sshfs", "davfs", "lustre",
	};
	size_t i;

	for (i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (!strcmp(m->mnt_type, types[i]))
			return true;
	return hasmntopt(m, "_netdev");
}

static bool path_is_remote(const char *path, const char *fstab)
{
	FILE *f = setmntent(fstab, "re");
	bool remote = false;
	size_t best = 0;
	struct mntent *m;

	if (!f)
		return false;
	/* The innermost mount holds it; of two for one directory the later. */
	while ((m = getmntent(f))) {
		if (!is_below(path, m->mnt_dir) || strlen(m->mnt_dir) < best)
			continue;
		best = strlen(m->mnt_dir);
		remote = is_network(m);
	}
	endmntent(f);
	return remote;
}

/**
 * is_remote() - does any file of an entry wait for the network
 * @e:		the entry
 * @fstab:	path of fstab; none means no
 */
bool is_remote(const struct entry *e, const char *fstab)
{
	unsigned int i;

	for (i = 0; i < e->nr_needs; i++)
		if (path_is_remote(e->needs[i], fstab))
			return true;
	return e->remote;
}

/* The partition of a disk that a device's name stands for, 0 for the disk; -1 for another. */
static int partition_of(const char *device, const char *name)
{
	static const char by_name[] = "/dev/disk/by-vhd/", part[] = "-part";
	size_t len = strlen(name);
	long nr;
	char *end;

	if (strncmp(device, by_name, strlen(by_name)))
		return -1;
	device += strlen(by_name);
	if (strncmp(device, name, len))
		return -1;
	device += len;
	if (!*device)
		return 0;
	if (strncmp(device, part, strlen(part)))
		return -1;
	nr = strtol(device + strlen(part), &end, 10);
	return *end || nr < 1 || nr > VHDTAB_PARTITIONS ? -1 : nr;
}

/**
 * find_used() - note what fstab uses of a disk
 * @e:		the disk; its @used is set
 * @fstab:	path of fstab; none uses nothing
 */
void find_used(struct entry *e, const char *fstab)
{
	FILE *f = setmntent(fstab, "re");
	struct mntent *m;
	int nr;

	if (!f)
		return;
	while ((m = getmntent(f))) {
		nr = partition_of(m->mnt_fsname, e->name);
		if (nr >= 0)
			e->used |= 1u << nr;
	}
	endmntent(f);
}
