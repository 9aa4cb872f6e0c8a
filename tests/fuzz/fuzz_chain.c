// SPDX-License-Identifier: GPL-2.0
/*
 * vhdctl's way from a file to its chain, over files that lead anywhere: it ends,
 * it stays where it was told to stay, and what it says suits a terminal.
 */
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "chain.h"
#include "findings.h"
#include "fuzz_files.h"
#include "walk.h"

/* Alternating bits make one run a sector: bound the time, not the disk. */
#define MAX_STEPS	2000

static struct fuzz_files files;

/* Takes the place of fprintf() in message.c. */
int fuzz_message(FILE *to, const char *format, ...)
{
	static char text[1 << 16];
	va_list args;
	int n;
	u8 *p;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	MUST(to == stderr && n > 0);
	for (p = (u8 *)text; *p; p++)
		MUST((*p >= ' ' && *p != 0x7f) || (*p == '\n' && !p[1]));
	return n;
}

static void take_options(struct fuzz_input *in, struct options *o, const char **dir,
			 const char **parent)
{
	static char inside[96];
	u8 flags = fuzz_u8(in);

	memset(o, 0, sizeof(*o));
	o->no_locators = (flags & 7) == 7;
	o->ignore_id_mismatch = flags & 8;
	o->max_depth = flags & 16 ? 2 : VHD_MAX_DEPTH;
	o->size_rule = flags % 3;
	snprintf(inside, sizeof(inside), "%s/in", files.dir);
	*dir = inside;
	*parent = files.path[1];
	if (flags & 32) {
		o->parent_dirs = dir;
		o->nr_parent_dirs = 1;
	}
	if (flags & 64 && **parent) {
		o->parents = parent;
		o->nr_parents = 1;
	}
}

static void check_place(const struct image *img, const struct options *o)
{
	char link[32], real[256] = "";
	size_t len = strlen(files.dir);

	snprintf(link, sizeof(link), "/proc/self/fd/%d", img->fd);
	MUST(readlink(link, real, sizeof(real) - 1) > 0);
	if (o->nr_parent_dirs && !o->nr_parents)
		MUST(!strncmp(real, files.dir, len) && !strncmp(real + len, "/in/", 4));
	MUST(!o->no_locators || o->nr_parents);
}

static void check_chain(struct chain *c, const struct options *o)
{
	const struct image *last = c->layer[c->nr - 1];
	unsigned int i, j;
	struct stat st;

	MUST(c->nr >= 1 && c->nr <= o->max_depth);
	MUST(last->raw || last->layout.type != VHD_TYPE_DIFFERENCING);
	for (i = 0; i < c->nr; i++) {
		MUST(!fstat(c->layer[i]->fd, &st) && S_ISREG(st.st_mode));
		for (j = 0; j < i; j++)
			MUST(!image_same_file(c->layer[i], c->layer[j]));
		MUST(i + 1 == c->nr || c->layer[i]->layout.type == VHD_TYPE_DIFFERENCING);
		if (i)
			check_place(c->layer[i], o);
	}
}

/* What "vhdctl info" tells is what the others do. */
static void check_told(struct chain *c, const struct options *o)
{
	struct image *child = c->layer[0];
	char *path;

	if (child->layout.type != VHD_TYPE_DIFFERENCING)
		return;
	path = search_path(child, o);
	MUST(!path == vhd_link_is_raw(&child->footer, &child->header));
	MUST(!path || !strcmp(path, c->layer[1]->path));
	free(path);
}

static void walk(struct chain *c)
{
	u64 end = c->layer[0]->layout.capacity, at = 0;
	struct owner_run run;
	int steps = 0;

	if (chain_load_bats(c))
		return;
	while (at < end && steps++ < MAX_STEPS && !walk_step(c, at, end, &run)) {
		MUST(run.start == at && run.sects && run.sects <= end - at && run.layer < c->nr);
		if (run.answer == VHD_DATA)
			MUST(run.file_sect + run.sects <= c->layer[run.layer]->layout.end);
		at += run.sects;
	}
}

static void find_faults(const char *path, enum vhd_size_rule rule)
{
	static struct findings f;
	struct image_how how = { .beneath = -1 };
	struct image img;

	if (!image_open(&img, path, &how) && !findings_collect(&f, &img, rule))
		MUST(f.nr <= MAX_FINDINGS && f.nr <= f.total && (f.nr || !f.worst));
	image_close(&img);
}

static void remove_all(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/in", files.dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/out", files.dir);
	rmdir(path);
	rmdir(files.dir);
}

int fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input in = { data, size };
	struct chain c = { .nr = 0 };
	const char *dir, *parent;
	struct options o;
	int ret;

	if (!*files.dir) {
		fuzz_files_init(&files);
		atexit(remove_all);
	}
	fuzz_files_make(&files, &in);
	take_options(&in, &o, &dir, &parent);
	ret = chain_open(&c, files.path[0], &o, fuzz_u8(&in) & 1);
	MUST(ret >= VHDCTL_OK && ret <= VHDCTL_NO_SPACE);
	if (!ret) {
		check_chain(&c, &o);
		check_told(&c, &o);
		chain_warn_times(&c);
		walk(&c);
	}
	chain_close(&c);
	find_faults(files.path[0], o.size_rule);
	fuzz_files_remove(&files);
	return 0;
}
