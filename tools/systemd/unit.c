// SPDX-License-Identifier: GPL-2.0
/* The unit that attaches a disk, and the links that pull it in. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vhdtab.h"

/**
 * put_escaped() - a string as part of the name of a unit, like systemd-escape(1)
 * @f:	to
 * @s:	of the characters that names may have
 */
void put_escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (isalnum((unsigned char)*s) || strchr(":_.", *s))
			fputc(*s, f);
		else
			fprintf(f, "\\x%02x", (unsigned char)*s);
	}
}

/* One word for systemd, whatever it contains; in commands "$" means something, too. */
static void put_word(FILE *f, const char *s, bool command)
{
	fputs(" \"", f);
	for (; *s; s++) {
		if (*s == '%' || (*s == '$' && command))
			fputc(*s, f);
		else if (*s == '"' || *s == '\\')
			fputc('\\', f);
		fputc(*s, f);
	}
	fputc('"', f);
}

static char *unit_name(const char *prefix, const char *name, const char *suffix)
{
	char *s = NULL;
	size_t len;
	FILE *f = open_memstream(&s, &len);

	if (!f)
		return NULL;
	fputs(prefix, f);
	put_escaped(f, name);
	fputs(suffix, f);
	if (fclose(f)) {
		free(s);
		return NULL;
	}
	return s;
}

/* The target that mounts and swaps of the disk, or of a partition, come after. */
static void put_target(FILE *f, const char *what, const char *name, unsigned int partition)
{
	fprintf(f, "%s=blockdev@dev-disk-by\\x2dvhd-", what);
	put_escaped(f, name);
	if (partition)
		fprintf(f, "\\x2dpart%u", partition);
	fputs(".target\n", f);
}

static void put_order(const struct entry *e, FILE *f)
{
	unsigned int i;

	fputs("Conflicts=umount.target\nBefore=umount.target\n", f);
	if (!e->nofail && !e->noauto)
		fprintf(f, "Before=%s\n", e->remote ? "remote-vhd.target" : "vhd.target");
	if (e->remote)
		fputs("Wants=network-online.target remote-fs-pre.target\n"
		      "After=network-online.target remote-fs-pre.target\n", f);
	/*
	 * Mounts and swaps come after these, and so are gone first at shutdown: if the
	 * target is stopped then, that is, if it was active. So it has to be wanted.
	 */
	for (i = 0; i <= VHDTAB_PARTITIONS; i++) {
		if (e->used & (1u << i))
			put_target(f, "Wants", e->name, i);
		put_target(f, "Before", e->name, i);
	}
	fputs("RequiresMountsFor=", f);
	for (i = 0; i < e->nr_needs; i++)
		put_word(f, e->needs[i], false);
	fputc('\n', f);
}

static void put_unit(const struct entry *e, FILE *f)
{
	unsigned int i;

	fprintf(f, "# Made by vhdtab-generator of line %u.\n\n[Unit]\n", e->line);
	fprintf(f, "Description=VHD disk %s\n", e->name);
	fprintf(f, "Documentation=man:vhdtab(5) man:vhdctl(8)\nSourcePath=%s\n", e->file);
	fputs("DefaultDependencies=no\nIgnoreOnIsolate=yes\n", f);
	fputs("Wants=modprobe@vhdblk.service\nAfter=modprobe@vhdblk.service\n", f);
	put_order(e, f);
	/* The disk with the root file system is there already, and not ours to detach. */
	fprintf(f, "ConditionPathExists=!/dev/disk/by-vhd/%s\n", e->name);
	fputs("\n[Service]\nType=oneshot\nRemainAfterExit=yes\n", f);
	fputs("TimeoutSec=infinity\nExecStart=vhdctl attach --name", f);
	put_word(f, e->name, true);
	for (i = 0; i < e->nr_args; i++)
		put_word(f, e->arg[i], true);
	fputs(" --", f);
	put_word(f, e->image, true);
	/* Who still has it open keeps it until then, and the file below waits for that. */
	fputs("\nExecStop=vhdctl detach --lazy --", f);
	put_word(f, e->name, true);
	fputc('\n', f);
}

static int failed(const struct entry *e, const char *path)
{
	int err = errno;

	complain(e->file, e->line, "%s: %s", path, strerror(err));
	return -err;
}

static int write_service(const struct entry *e, const char *dir, const char *unit)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, unit);
	f = fopen(path, "wxe");
	if (!f && errno == EEXIST) {
		complain(e->file, e->line, "'%s' is there already, in a line above", e->name);
		return -EEXIST;
	}
	if (!f)
		return failed(e, path);
	put_unit(e, f);
	return fclose(f) ? failed(e, path) : 0;
}

/* TARGET.HOW/UNIT, which says that TARGET wants or requires UNIT. */
static int pull_in(const struct entry *e, const char *dir, const char *target, const char *how,
		   const char *unit, const char *where)
{
	char path[PATH_MAX], to[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.%s", dir, target, how);
	if (mkdir(path, 0755) && errno != EEXIST)
		return failed(e, path);
	snprintf(path, sizeof(path), "%s/%s.%s/%s", dir, target, how, unit);
	snprintf(to, sizeof(to), "%s/%s", where, unit);
	if (symlink(to, path) && errno != EEXIST)
		return failed(e, path);
	return 0;
}

static int write_timeout(const struct entry *e, const char *dir, const char *device)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.d", dir, device);
	if (mkdir(path, 0755) && errno != EEXIST)
		return failed(e, path);
	snprintf(path, sizeof(path), "%s/%s.d/40-device-timeout.conf", dir, device);
	f = fopen(path, "we");
	if (!f)
		return failed(e, path);
	fprintf(f, "# Made by vhdtab-generator of line %u.\n\n[Unit]\nJobRunningTimeoutSec=%s\n",
		e->line, e->timeout);
	return fclose(f) ? failed(e, path) : 0;
}

static int write_links(const struct entry *e, const char *dir, const char *unit)
{
	const char *target = e->remote ? "remote-vhd.target" : "vhd.target";
	const char *stage = e->remote ? "remote-fs.target" : "local-fs.target";
	int ret = pull_in(e, dir, target, e->nofail ? "wants" : "requires", unit, "..");

	/* A disk that fails takes what needs it along, not the boot. */
	return ret ? ret : pull_in(e, dir, stage, "wants", target, "/usr/lib/systemd/system");
}

/**
 * write_unit() - write all files that make systemd attach a disk
 * @e:		the disk
 * @dir:	where generated units go
 *
 * Return: 0, or a negative errno after a message.
 */
int write_unit(const struct entry *e, const char *dir)
{
	char *unit = unit_name("vhdattach@", e->name, ".service");
	char *device = unit_name("dev-disk-by\\x2dvhd-", e->name, ".device");
	int ret = unit && device ? write_service(e, dir, unit) : -ENOMEM;

	if (!ret && !e->noauto)
		ret = write_links(e, dir, unit);
	if (!ret)
		ret = pull_in(e, dir, device, "requires", unit, "..");
	if (!ret && e->timeout)
		ret = write_timeout(e, dir, device);
	free(device);
	free(unit);
	return ret;
}
