// SPDX-License-Identifier: GPL-2.0
/*
 * Finding the parent of the last file of a chain.
 *
 * The unique id decides, never the first existing path: a file of the same name
 * with another id must not shadow the right one behind a later locator.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "chain.h"

/**
 * struct search - one search for one parent
 * @c:		chain so far
 * @o:		command line
 * @child:	last file of @c
 * @tries:	places looked at, for the report
 * @found:	the parent
 * @any_id:	second pass of --ignore-id-mismatch
 * @cycle:	a place led back into the chain
 * @mismatch:	a place held an image with another id
 * @fault:	of the first place that held a damaged image
 * @error:	exit code that ends the search, 0 if none
 * @peek:	the parent is not going to be used, so nobody needs its lock
 */
struct search {
	struct chain *c;
	const struct options *o;
	struct image *child;
	struct path_list tries;
	struct image *found;
	bool any_id;
	bool cycle;
	bool mismatch;
	enum vhd_fault fault;
	int error;
	bool peek;
};

static const char *why_not(struct search *s, const struct image *img)
{
	enum vhd_fault fault = vhd_link_check(&s->child->footer, &s->child->header, &img->footer);

	if (!fault || (fault == VHD_FAULT_PARENT_ID && s->any_id))
		return NULL;
	if (fault == VHD_FAULT_PARENT_ID)
		s->mismatch = true;
	return vhd_fault_str(fault);
}

static const char *judge(struct search *s, struct image *img)
{
	int ret;

	if (chain_has(s->c, img)) {
		s->cycle = true;
		return vhd_fault_str(VHD_FAULT_CYCLE);
	}
	ret = image_load(img, s->o->size_rule);
	if (!ret)
		return why_not(s, img);
	if (!img->fault)
		return strerror(-ret);
	if (!s->fault)
		s->fault = img->fault;
	return vhd_fault_str(img->fault);
}

/* Between the first look and the lock the file may have changed: look again. */
static const char *take(struct search *s, struct image *img)
{
	int ret = s->peek ? 0 : image_lock(img, false);
	const char *why;

	if (ret) {
		s->error = image_report(img, s->c->nr, ret);
		return "locked";
	}
	why = judge(s, img);
	if (!why)
		s->found = img;
	return why;
}

static void try_open(struct search *s, struct path_try *t, const char *path,
		     const struct image_how *how)
{
	struct image *img = calloc(1, sizeof(*img));
	int ret;

	if (!img) {
		t->result = strerror(ENOMEM);
		return;
	}
	ret = image_open(img, path, how);
	if (ret)
		t->result = img->why ? img->why : strerror(-ret);
	else
		t->result = judge(s, img);
	if (!t->result)
		t->result = take(s, img);
	if (s->found == img)
		return;
	image_close(img);
	free(img);
}

static bool over(const struct search *s)
{
	return s->found || s->error;
}

static void try_named(struct search *s)
{
	struct image_how how = { .named = true, .beneath = -1 };
	struct path_try *t;
	unsigned int i;

	for (i = 0; i < s->o->nr_parents && !over(s); i++) {
		t = paths_add(&s->tries, s->o->parents[i], "--parent");
		if (t)
			try_open(s, t, t->path, &how);
	}
}

static void try_below(struct search *s, const char *dir, int fd, const char *rest,
		      const char *source)
{
	struct image_how how = { .named = s->child->block_device, .beneath = fd };
	struct path_try *t;
	char *path;

	if (asprintf(&path, "%s/%s", dir, rest) < 0)
		return;
	t = paths_add(&s->tries, path, source);
	if (t)
		try_open(s, t, rest, &how);
	/* The rest of the command wants to name it from here. */
	if (t && s->found) {
		free(s->found->path);
		s->found->path = path;
		return;
	}
	free(path);
}

/* The path itself if it lies below @dir, then a file of that name in @dir. */
static void try_in_dir(struct search *s, const char *dir, const struct path_try *place)
{
	char *real = realpath(dir, NULL), *full = path_absolute(place->path);
	size_t len = real ? strlen(real) : 0;
	int fd = real ? open(real, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd < 0 || !full) {
		msg_error("--parents-in %s: %s", dir, strerror(errno));
		s->error = VHDCTL_ERROR;
	} else {
		if (!strncmp(full, real, len) && full[len] == '/')
			try_below(s, real, fd, full + len + 1, place->source);
		if (!over(s))
			try_below(s, real, fd, path_basename(full), place->source);
	}
	if (fd >= 0)
		close(fd);
	free(real);
	free(full);
}

static void try_place(struct search *s, const struct path_try *place)
{
	struct image_how how = { .named = s->child->block_device, .beneath = -1 };
	struct path_try *t;
	unsigned int i;

	for (i = 0; i < s->o->nr_parent_dirs && !over(s); i++)
		try_in_dir(s, s->o->parent_dirs[i], place);
	if (s->o->nr_parent_dirs)
		return;
	t = paths_add(&s->tries, place->path, place->source);
	if (t)
		try_open(s, t, t->path, &how);
}

/*
 * What only the copy at 0 says of a file may have been written by a guest into
 * sector 0 of a fixed disk, so it must not choose host files.
 */
static bool may_name_files(const struct search *s)
{
	return !s->o->no_locators && s->child->choice.place != VHD_FOOTER_COPY;
}

static void try_all(struct search *s)
{
	struct path_list places = { 0 };
	unsigned int i;

	try_named(s);
	if (over(s) || !may_name_files(s))
		return;
	paths_of_parent(s->child, &places);
	for (i = 0; i < places.nr && !over(s); i++)
		try_place(s, &places.v[i]);
	paths_free(&places);
}

/* A dynamic image read as raw would be garbage. */
static const char *judge_raw(struct search *s, struct image *img)
{
	if (chain_has(s->c, img))
		return vhd_fault_str(VHD_FAULT_CYCLE);
	if (!image_load(img, VHD_SIZE_AUTO) && img->layout.type != VHD_TYPE_FIXED) {
		s->mismatch = true;
		return "a VHD, and the child wants a raw parent";
	}
	image_set_raw(img);
	return NULL;
}

static void try_raw(struct search *s, const char *path)
{
	struct path_try *t = paths_add(&s->tries, path, "--parent");
	struct image_how how = { .named = true, .beneath = -1 };
	struct image *img = t ? calloc(1, sizeof(*img)) : NULL;
	int ret;

	if (!img)
		return;
	ret = image_open(img, path, &how);
	if (ret)
		t->result = img->why ? img->why : strerror(-ret);
	else
		t->result = judge_raw(s, img);
	if (!t->result)
		ret = image_lock(img, false);
	if (!t->result && !ret) {
		s->found = img;
		return;
	}
	if (!t->result)
		s->error = image_report(img, s->c->nr, ret);
	image_close(img);
	free(img);
}

static void list_tries(const struct search *s)
{
	unsigned int i;

	for (i = 0; i < s->tries.nr; i++)
		msg_hint("tried %s (%s): %s", s->tries.v[i].path, s->tries.v[i].source,
			 s->tries.v[i].result);
}

static int search_raw(struct search *s)
{
	unsigned int i;

	for (i = 0; i < s->o->nr_parents && !over(s); i++)
		try_raw(s, s->o->parents[i]);
	if (over(s))
		return s->error;
	msg_error("%s (layer %u): %s", s->child->path, s->c->nr - 1,
		  vhd_fault_str(VHD_FAULT_RAW_PARENT));
	list_tries(s);
	msg_hint("it has no parent id, so its parent is a raw disk: name that with --parent");
	return s->mismatch ? VHDCTL_ID_MISMATCH : VHDCTL_NO_PARENT;
}

static int report_missing(const struct search *s, const char *what)
{
	char id[UUID_STR_LEN], name[1024];

	uuid_unparse_lower(s->child->header.parent_uuid, id);
	parent_name(s->child, name, sizeof(name));
	msg_error("%s (layer %u): %s: id %s, name '%s'", s->child->path, s->c->nr - 1, what, id,
		  name);
	list_tries(s);
	return VHDCTL_NO_PARENT;
}

static int report_failure(const struct search *s)
{
	if (s->cycle) {
		report_missing(s, vhd_fault_str(VHD_FAULT_CYCLE));
		return exit_of_fault(VHD_FAULT_CYCLE);
	}
	if (s->mismatch) {
		report_missing(s, vhd_fault_str(VHD_FAULT_PARENT_ID));
		msg_hint("name the right one with --parent, or use --ignore-id-mismatch");
		return VHDCTL_ID_MISMATCH;
	}
	if (s->fault) {
		report_missing(s, "the parent is not usable");
		msg_hint("see 'vhdctl check' of that file, or name another with --parent");
		return exit_of_fault(s->fault);
	}
	report_missing(s, "parent not found");
	if (!s->o->no_locators && s->child->choice.place == VHD_FOOTER_COPY)
		msg_hint("its footer copy alone may not lead to files: 'vhdctl check --repair' it");
	msg_hint("name the parent with --parent FILE");
	return VHDCTL_NO_PARENT;
}

static void search_by_id(struct search *s)
{
	try_all(s);
	if (over(s) || !s->mismatch || !s->o->ignore_id_mismatch)
		return;
	paths_free(&s->tries);
	s->any_id = true;
	try_all(s);
}

/**
 * search_parent() - append the parent of the last file of a chain
 * @c:		chain that ends in a differencing image
 * @o:		says where parents may be
 *
 * Return: VHDCTL_OK, or another exit code after a message that lists every
 * path tried.
 */
int search_parent(struct chain *c, const struct options *o)
{
	struct search s = { .c = c, .o = o, .child = c->layer[c->nr - 1] };
	int ret;

	if (vhd_link_is_raw(&s.child->footer, &s.child->header)) {
		ret = search_raw(&s);
	} else {
		search_by_id(&s);
		ret = over(&s) ? s.error : report_failure(&s);
	}
	paths_free(&s.tries);
	return ret ? ret : chain_add(c, s.found);
}

/**
 * search_path() - where the parent of an image is, for those who only tell
 * @child:	a loaded differencing image
 * @o:		says where parents may be
 *
 * Return: A string to be freed, NULL if it was not found.
 */
char *search_path(struct image *child, const struct options *o)
{
	struct chain c = { .layer = { child }, .nr = 1 };
	struct search s = { .c = &c, .o = o, .child = child, .peek = true };
	char *path = NULL;

	if (vhd_link_is_raw(&child->footer, &child->header))
		return NULL;
	search_by_id(&s);
	if (s.found) {
		path = strdup(s.found->path);
		image_close(s.found);
		free(s.found);
	}
	paths_free(&s.tries);
	return path;
}
