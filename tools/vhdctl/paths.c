// SPDX-License-Identifier: GPL-2.0
/* Where an image says that its parent is. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chain.h"

/* A locator longer than this names no file that Linux could open. */
#define TEXT_MAX	(4u * PATH_MAX)

/**
 * path_dirname() - directory part of a path
 * @path:	any path
 *
 * Return: A string to be freed, "." if @path has no directory; NULL without
 * memory.
 */
char *path_dirname(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, slash - path);
}

/**
 * path_basename() - last component of a path
 * @path:	any path
 *
 * Return: A pointer into @path.
 */
const char *path_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Collapse ".", ".." and "//" by text alone, in place. */
static void collapse(char *path)
{
	char *out = path, *in = path, *end;

	while (*in) {
		in += strspn(in, "/");
		end = in + strcspn(in, "/");
		if (end - in == 2 && !memcmp(in, "..", 2)) {
			while (out > path && *--out != '/')
				;
		} else if (end > in && !(end - in == 1 && *in == '.')) {
			size_t len = end - in;

			*out++ = '/';
			memmove(out, in, len);
			out += len;
		}
		in = end;
	}
	if (out == path)
		*out++ = '/';
	*out = 0;
}

/**
 * path_absolute() - an absolute path without ".", ".." and "//"
 * @path:	any path
 *
 * Works on the text alone: symbolic links are not followed.
 *
 * Return: A string to be freed, NULL with errno set.
 */
char *path_absolute(const char *path)
{
	char *cwd, *full;

	if (*path == '/') {
		full = strdup(path);
	} else {
		cwd = getcwd(NULL, 0);
		if (!cwd)
			return NULL;
		if (asprintf(&full, "%s/%s", cwd, path) < 0)
			full = NULL;
		free(cwd);
	}
	if (full)
		collapse(full);
	return full;
}

/**
 * paths_add() - append a place to look at, unless it is there already
 * @list:	the list
 * @path:	copied
 * @source:	a constant that says who named it
 *
 * Return: The new element, NULL if there was one before or without memory.
 */
struct path_try *paths_add(struct path_list *list, const char *path, const char *source)
{
	struct path_try *bigger;
	char *copy;
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		if (!strcmp(list->v[i].path, path))
			return NULL;
	bigger = reallocarray(list->v, list->nr + 1, sizeof(*bigger));
	if (!bigger)
		return NULL;
	list->v = bigger;
	copy = strdup(path);
	if (!copy)
		return NULL;
	bigger[list->nr].path = copy;
	bigger[list->nr].source = source;
	bigger[list->nr].result = NULL;
	return &bigger[list->nr++];
}

/**
 * paths_free() - forget all places
 * @list:	the list, empty afterwards
 */
void paths_free(struct path_list *list)
{
	unsigned int i;

	for (i = 0; i < list->nr; i++)
		free(list->v[i].path);
	free(list->v);
	memset(list, 0, sizeof(*list));
}

/* Windows paths as Linux has them; one that already is comes out unchanged. */
static char *linux_form(char *text)
{
	char *p;

	if (!strncmp(text, "file://", 7))
		text += 7;
	if (text[0] && text[1] == ':')
		text += 2;
	for (p = text; *p; p++)
		if (*p == '\\')
			*p = '/';
	while (!strncmp(text, "./", 2))
		text += 2;
	return text;
}

static void add_in(struct path_list *list, const char *dir, const char *name, const char *source)
{
	char path[TEXT_MAX + PATH_MAX];
	const char *between = dir[strlen(dir) - 1] == '/' ? "" : "/";

	if (!strcmp(dir, "."))
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "%s%s%s", dir, between, name);
	paths_add(list, path, source);
}

/*
 * Relative to the place where the user found the child; then to where the child
 * really is, for children behind symbolic links.
 */
static void add_relative(struct path_list *list, const struct image *child, const char *name,
			 const char *source)
{
	char *dir = path_dirname(child->path), *real = realpath(child->path, NULL);
	char *real_dir = real ? path_dirname(real) : NULL, *here = dir ? realpath(dir, NULL) : NULL;

	if (dir)
		add_in(list, dir, name, source);
	if (real_dir && here && strcmp(real_dir, here))
		add_in(list, real_dir, name, source);
	free(dir);
	free(real);
	free(real_dir);
	free(here);
}

static void add_text(struct path_list *list, const struct image *child, char *text,
		     const char *source)
{
	text = linux_form(text);
	if (*text == '/')
		paths_add(list, text, source);
	else if (*text)
		add_relative(list, child, text, source);
}

static void add_locator(struct path_list *list, const struct image *child,
			const struct vhd_locator_ref *ref, const char *source)
{
	u32 length = ref->length;
	char text[TEXT_MAX];
	char *data;

	if (!length || length > TEXT_MAX)
		return;
	data = malloc(length);
	if (!data)
		return;
	if (!image_read(child, data, length, ref->offset) &&
	    !vhd_locator_decode(ref->code, data, length, text, sizeof(text)))
		add_text(list, child, text, source);
	free(data);
}

static void add_locators(struct path_list *list, const struct image *child,
			 enum vhd_platform_code code, const char *source)
{
	struct vhd_locator_ref ref;
	unsigned int slot;

	for (slot = 0; slot < VHD_LOCATORS; slot++) {
		if (vhd_locator_get(&child->header, slot, child->size, &ref))
			continue;
		if (ref.code == code)
			add_locator(list, child, &ref, source);
	}
}

/**
 * parent_name() - the parent name in the header
 * @child:	a loaded differencing image
 * @name:	UTF-8
 * @size:	of @name in bytes
 *
 * Return: Its length, 0 if it has none or it does not decode.
 */
size_t parent_name(const struct image *child, char *name, size_t size)
{
	u16 units[VHD_NAME_UNITS];
	size_t nr = vhd_header_name(&child->header, units);
	size_t len = nr ? vhd_utf16_to_utf8(units, nr, name, size) : 0;

	if (len >= size)
		len = 0;
	name[len] = 0;
	return len;
}

static void add_name(struct path_list *list, const struct image *child)
{
	char text[TEXT_MAX];
	const char *base;

	if (!parent_name(child, text, sizeof(text)))
		return;
	/* Some writers put the whole path there. */
	base = path_basename(linux_form(text));
	if (*base)
		add_relative(list, child, base, "parent name");
}

/**
 * paths_of_parent() - every place that a child names for its parent
 * @child:	a loaded differencing image
 * @list:	appended to, in the order in which they shall be tried: all W2ru
 *		locators, all W2ku, all MacX, then the parent name in the
 *		child's directory
 *
 * Return: How many were added.
 */
int paths_of_parent(const struct image *child, struct path_list *list)
{
	unsigned int before = list->nr;

	add_locators(list, child, VHD_PLATFORM_W2RU, "W2ru locator");
	add_locators(list, child, VHD_PLATFORM_W2KU, "W2ku locator");
	add_locators(list, child, VHD_PLATFORM_MACX, "MacX locator");
	add_name(list, child);
	return list->nr - before;
}
