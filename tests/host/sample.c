// SPDX-License-Identifier: GPL-2.0
/*
 * Writes crash states as image files, and into "states.json", one line each, what
 * a reader may find in them. Sectors that only garbage would fill stay holes.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sample.h"

/* Not the model's own numbers: which states there are must not depend on us. */
static u64 noise = 88172645463325252ULL;
static FILE *list;
static const char *top;
static u32 every_moment, nr_files;
static char folder[64];
static bool failed;

static u32 random_below(u32 below)
{
	noise ^= noise << 13;
	noise ^= noise >> 7;
	noise ^= noise << 17;
	return (noise >> 32) % below;
}

/* About how many states the moment has that this one belongs to. */
static u32 states_of_moment(const struct cm *m)
{
	if (m->disk.nr_ops <= m->p.every_subset)
		return 1u << m->disk.nr_ops;
	return m->p.random_subsets + 2 * m->disk.nr_ops * m->disk.nr_ops;
}

static void write_at(int fd, const void *data, u64 sect)
{
	failed |= pwrite(fd, data, VHD_SECTOR_SIZE, sect << VHD_SECTOR_SHIFT) != VHD_SECTOR_SIZE;
}

static void write_number(int fd, cm_value value, u64 sect)
{
	u8 data[VHD_SECTOR_SIZE] = { value, value >> 8, value >> 16, value >> 24 };

	write_at(fd, data, sect);
}

static int create(const char *path, u64 sects)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	failed |= fd < 0 || ftruncate(fd, sects << VHD_SECTOR_SHIFT);
	return fd;
}

/* A fixed image, full of what shows through where a child has nothing. */
static void write_parent(const struct cm *m)
{
	u64 sects = m->layout.capacity;
	static const u8 uuid[16] = { 1, 2, 3 };
	struct vhd_footer_args args = {
		VHD_TYPE_FIXED, sects << VHD_SECTOR_SHIFT, uuid, 0
	};
	struct vhd_footer f;
	char path[512];
	u32 v;
	int fd;

	snprintf(path, sizeof(path), "%s/%s/parent.vhd", top, folder);
	fd = create(path, sects + 1);
	vhd_footer_init(&f, &args);
	write_at(fd, &f, sects);
	for (v = 0; v < CM_VSECTS; v++)
		write_number(fd, CM_PARENT | v, cm_sector(m, v));
	close(fd);
}

/* Each image's states have a folder of their own, with its parent. */
static void enter_folder(const struct cm *m)
{
	char name[sizeof(folder)], path[512];
	bool child = m->p.type == VHD_TYPE_DIFFERENCING;

	snprintf(name, sizeof(name), "%s-%u", child ? "differencing" : "dynamic", m->p.seed);
	if (!strcmp(name, folder))
		return;
	strcpy(folder, name);
	snprintf(path, sizeof(path), "%s/%s", top, folder);
	mkdir(path, 0777);
	if (child)
		write_parent(m);
}

static void write_image(const struct cm *m, const char *path)
{
	cm_value value;
	int fd = create(path, m->scratch_eof);
	u32 i, sect;

	for (i = 0; i < m->disk.nr_cells; i++) {
		sect = m->disk.sect[i];
		value = m->scratch[i];
		if (value == CM_ZERO || sect >= m->scratch_eof)
			continue;
		if (value & CM_BUFFER || value == CM_GARBAGE)
			write_at(fd, cm_bytes(m, value), sect);
		else
			write_number(fd, value, sect);
	}
	close(fd);
}

static void list_sectors(const struct cm *m)
{
	u32 v, i;

	fprintf(list, ", \"sectors\": [");
	for (v = 0; v < CM_VSECTS; v++) {
		fprintf(list, "%s[%llu, [", v ? ", " : "", (unsigned long long)cm_sector(m, v));
		for (i = 0; i < m->history[v].nr; i++)
			fprintf(list, "%s%u", i ? ", " : "", m->history[v].tag[i]);
		fprintf(list, "]]");
	}
	fprintf(list, "]");
}

static void list_state(const struct cm *m, const char *path)
{
	fprintf(list, "{\"file\": \"%s\", \"bad\": ", path);
	if (m->bad)
		fprintf(list, "\"%s\"", m->bad);
	else
		fprintf(list, "null");
	fprintf(list, ", \"settled\": %s, \"cut\": %s, \"eof\": [%u, %u]",
		m->footers == CM_SETTLED ? "true" : "false", m->cut ? "true" : "false",
		m->allowed_eof[0], m->allowed_eof[1]);
	if (m->footers == CM_SETTLED && m->renewed)
		fprintf(list, ", \"timestamp\": %u", be32_to_cpu(m->footer.timestamp));
	list_sectors(m);
	fprintf(list, "}\n");
}

/**
 * sample_open() - begin
 * @dir:	where to write, an existing folder
 * @every:	how many moments apart
 */
void sample_open(const char *dir, u32 every)
{
	char path[512];

	top = dir;
	every_moment = every;
	snprintf(path, sizeof(path), "%s/states.json", dir);
	list = fopen(path, "w");
	failed = !list;
}

/**
 * sample_state() - perhaps write the state that has just been judged
 * @m: the model
 */
void sample_state(struct cm *m)
{
	char path[512];

	if (failed || m->broken)
		return;
	/* Of a mutant only what betrays it. */
	if (!m->bad && (m->p.mutant || random_below(states_of_moment(m) * every_moment)))
		return;
	enter_folder(m);
	snprintf(path, sizeof(path), "%s/%s/%05u.vhd", top, folder, nr_files++);
	write_image(m, path);
	list_state(m, path);
}

/**
 * sample_close() - end
 *
 * Return: false if something could not be written.
 */
bool sample_close(void)
{
	return !failed && !fclose(list);
}
