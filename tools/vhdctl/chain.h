/* SPDX-License-Identifier: GPL-2.0 */
/* The files of a chain, leaf first, and how a parent is found. */
#ifndef VHDCTL_CHAIN_H
#define VHDCTL_CHAIN_H

#include "file.h"
#include "vhdctl.h"

/**
 * struct chain - open files, leaf first
 * @layer:	each allocated
 * @nr:		how many
 */
struct chain {
	struct image *layer[VHD_MAX_DEPTH];
	unsigned int nr;
};

/**
 * struct path_try - one place where a parent may be
 * @path:	as it will be opened
 * @source:	what named it, for example "W2ru locator"
 * @result:	why it was not taken; NULL if not tried
 */
struct path_try {
	char *path;
	const char *source;
	const char *result;
};

struct path_list {
	struct path_try *v;
	unsigned int nr;
};

/* paths.c */
int paths_of_parent(const struct image *child, struct path_list *list);
struct path_try *paths_add(struct path_list *list, const char *path, const char *source);
void paths_free(struct path_list *list);
char *path_absolute(const char *path);
char *path_dirname(const char *path);
const char *path_basename(const char *path);
size_t parent_name(const struct image *child, char *name, size_t size);

/* search.c */
int search_parent(struct chain *c, const struct options *o);
char *search_path(struct image *child, const struct options *o);

/* chain.c */
int chain_open_leaf(struct chain *c, const char *path, const struct options *o, bool write);
int chain_resolve(struct chain *c, const struct options *o);
int chain_open(struct chain *c, const char *path, const struct options *o, bool write);
int chain_add(struct chain *c, struct image *img);
bool chain_has(const struct chain *c, const struct image *img);
int chain_load_bats(struct chain *c);
void chain_warn_times(const struct chain *c);
void chain_close(struct chain *c);

#endif /* VHDCTL_CHAIN_H */
