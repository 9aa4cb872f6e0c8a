// SPDX-License-Identifier: GPL-2.0
/* Who is whose parent among the images that were found; nothing is opened here. */
#include <stdlib.h>
#include <string.h>

#include "scan.h"

struct name {
	char *path;
	unsigned int index;
};

struct linker {
	struct scan *s;
	struct name *names;
	unsigned int nr_names;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->path, ((const struct found *)b)->path);
}

static int by_file(const void *a, const void *b)
{
	const struct found *x = *(const struct found * const *)a;
	const struct found *y = *(const struct found * const *)b;

	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x < y ? -1 : x > y;
}

/* Directories that overlap, and hard links: one file is one image. */
static int drop_twins(struct scan *s)
{
	struct found **order = malloc((s->nr + 1ULL) * sizeof(*order));
	unsigned int i, kept = 0;

	if (!order)
		return VHDCTL_ERROR;
	for (i = 0; i < s->nr; i++)
		order[i] = &s->v[i];
	qsort(order, s->nr, sizeof(*order), by_file);
	for (i = 1; i < s->nr; i++)
		if (order[i]->ino && order[i]->dev == order[i - 1]->dev &&
		    order[i]->ino == order[i - 1]->ino)
			order[i]->depth = NO_PARENT;
	free(order);
	for (i = 0; i < s->nr; i++) {
		struct found f = s->v[i];

		if (f.depth == NO_PARENT)
			continue;
		s->v[i] = s->v[kept];
		s->v[kept++] = f;
	}
	for (i = kept; i < s->nr; i++) {
		free(s->v[i].path);
		free(s->v[i].real);
		free(s->v[i].name);
		paths_free(&s->v[i].places);
	}
	s->nr = kept;
	return VHDCTL_OK;
}

static int by_id(const void *a, const void *b, void *ctx)
{
	const struct found *v = ctx;
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;
	int ret = memcmp(v[x].id, v[y].id, sizeof(v[x].id));

	return ret ? ret : x < y ? -1 : x > y;
}

static int sort_ids(struct scan *s)
{
	unsigned int i;

	s->by_id = malloc((s->nr + 1ULL) * sizeof(*s->by_id));
	if (!s->by_id)
		return VHDCTL_ERROR;
	for (i = 0; i < s->nr; i++)
		if (s->v[i].has_id)
			s->by_id[s->nr_ids++] = i;
	qsort_r(s->by_id, s->nr_ids, sizeof(*s->by_id), by_id, s->v);
	return VHDCTL_OK;
}

/* Where in @by_id those with this id begin. */
static unsigned int lower_bound(const struct scan *s, const u8 *id)
{
	unsigned int low = 0, high = s->nr_ids, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (memcmp(s->v[s->by_id[mid]].id, id, 16) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* Both names of each: without symbolic links, and as the user came to it. */
static int sort_names(struct linker *l)
{
	struct scan *s = l->s;
	unsigned int i;

	l->names = malloc((2ULL * s->nr + 1) * sizeof(*l->names));
	if (!l->names)
		return VHDCTL_ERROR;
	for (i = 0; i < s->nr; i++) {
		char *shown = path_absolute(s->v[i].path);

		l->names[l->nr_names++] = (struct name){ strdup(s->v[i].real), i };
		l->names[l->nr_names++] = (struct name){ shown, i };
		if (!shown || !l->names[l->nr_names - 2].path)
			return VHDCTL_ERROR;
	}
	qsort(l->names, l->nr_names, sizeof(*l->names), by_name);
	return VHDCTL_OK;
}

static void free_names(struct linker *l)
{
	while (l->nr_names)
		free(l->names[--l->nr_names].path);
	free(l->names);
}

static unsigned int who_is_at(const struct linker *l, const char *place)
{
	struct name key = { path_absolute(place), 0 };
	const struct name *n = NULL;

	if (key.path)
		n = bsearch(&key, l->names, l->nr_names, sizeof(*l->names), by_name);
	free(key.path);
	return n ? n->index : NO_PARENT;
}

/* The first file with the id in the first place that has one, as attach does it. */
static bool choose_by_place(const struct linker *l, struct found *child)
{
	const struct found *f;
	unsigned int i, p;

	for (p = 0; p < child->places.nr; p++) {
		i = who_is_at(l, child->places.v[p].path);
		f = i == NO_PARENT ? NULL : &l->s->v[i];
		if (!f || !f->has_id || memcmp(f->id, child->header.parent_uuid, sizeof(f->id)))
			continue;
		child->parent = i;
		return true;
	}
	return false;
}

/* Nobody has the id: is there somebody else in one of the places? */
static void find_wrong(const struct linker *l, struct found *child)
{
	unsigned int p;

	for (p = 0; p < child->places.nr && child->parent == NO_PARENT; p++)
		child->parent = who_is_at(l, child->places.v[p].path);
	child->state = child->parent == NO_PARENT ? LINK_MISSING : LINK_WRONG_ID;
}

/**
 * scan_is_child() - does an image say that it has a parent
 * @f:	what was found
 *
 * Return: true if it is differencing and its header can be read.
 */
bool scan_is_child(const struct found *f)
{
	return f->type == VHD_TYPE_DIFFERENCING && f->state != LINK_DAMAGED &&
	       f->state != LINK_UNREADABLE;
}

static void link_one(const struct linker *l, struct found *child)
{
	const struct scan *s = l->s;
	const u8 *id = child->header.parent_uuid;
	static const u8 none[16];
	unsigned int first = lower_bound(s, id), nr = 0;

	if (!memcmp(id, none, sizeof(none))) {
		child->state = LINK_RAW;
		return;
	}
	while (first + nr < s->nr_ids && !memcmp(s->v[s->by_id[first + nr]].id, id, 16))
		nr++;
	if (!nr) {
		find_wrong(l, child);
		return;
	}
	if (!choose_by_place(l, child)) {
		child->state = nr > 1 ? LINK_SEVERAL : LINK_BY_ID;
		child->parent = s->by_id[first];
	}
	if (child->state != LINK_SEVERAL &&
	    vhd_link_time_differs(&child->header, s->v[child->parent].mtime))
		child->state = LINK_TIME;
}

static bool goes_up(const struct found *f)
{
	return f->parent != NO_PARENT && f->state != LINK_WRONG_ID;
}

static void cut_loop(struct scan *s, unsigned int i)
{
	while (s->v[i].state != LINK_LOOP) {
		s->v[i].state = LINK_LOOP;
		i = s->v[i].parent;
	}
}

/*
 * Up from @i to somebody whose depth is known, then back down. @seen holds who was
 * on the way in which round, so that a loop is met at once.
 */
static void settle(struct scan *s, unsigned int i, unsigned int *seen, unsigned int *stack)
{
	unsigned int round = i + 1, nr = 0, depth;

	while (!s->v[i].depth && seen[i] != round) {
		seen[i] = round;
		stack[nr++] = i;
		if (!goes_up(&s->v[i]))
			break;
		i = s->v[i].parent;
		if (!s->v[i].depth && seen[i] == round)
			cut_loop(s, i);
	}
	while (nr) {
		struct found *f = &s->v[stack[--nr]];

		depth = f->state != LINK_LOOP && goes_up(f) ? s->v[f->parent].depth : 0;
		if (depth >= VHD_MAX_DEPTH) {
			f->state = LINK_TOO_DEEP;
			depth = 0;
		}
		f->depth = depth + 1;
	}
}

static int settle_all(struct scan *s)
{
	unsigned int *seen = calloc(s->nr + 1ULL, sizeof(*seen));
	unsigned int *stack = malloc((s->nr + 1ULL) * sizeof(*stack));
	int ret = seen && stack ? VHDCTL_OK : VHDCTL_ERROR;
	unsigned int i;

	for (i = 0; !ret && i < s->nr; i++)
		settle(s, i, seen, stack);
	free(seen);
	free(stack);
	return ret;
}

/**
 * scan_link() - find out who is whose parent
 * @s:	what scan_directory() found; sorted by path afterwards
 *
 * The unique id decides. Of several files with it the one is taken that attach
 * would take: in the first place that the child names.
 *
 * Return: VHDCTL_OK; VHDCTL_ERROR after a message if there is no memory.
 */
int scan_link(struct scan *s)
{
	struct linker l = { .s = s };
	unsigned int i;
	int ret;

	if (!s->nr)
		return VHDCTL_OK;
	qsort(s->v, s->nr, sizeof(*s->v), by_path);
	ret = drop_twins(s);
	if (!ret)
		ret = sort_ids(s);
	if (!ret)
		ret = sort_names(&l);
	for (i = 0; !ret && i < s->nr; i++)
		if (scan_is_child(&s->v[i]))
			link_one(&l, &s->v[i]);
	if (!ret)
		ret = settle_all(s);
	free_names(&l);
	if (ret)
		msg_error("out of memory");
	return ret;
}
