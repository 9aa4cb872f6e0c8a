/* SPDX-License-Identifier: GPL-2.0 */
/* The images below directories, and who is whose parent. */
#ifndef VHDCTL_SCAN_H
#define VHDCTL_SCAN_H

#include "chain.h"

/**
 * enum link_state - what is to be said of an image and its link
 * @LINK_OK:		it has no parent, or that is there
 * @LINK_BY_ID:		its parent is there, but no place that it names
 * @LINK_TIME:		its parent is there, and has another time stamp
 * @LINK_SEVERAL:	several files have the id of its parent
 * @LINK_RAW:		its parent is a raw disk, which has no id
 * @LINK_MISSING:	nothing that was found is its parent
 * @LINK_WRONG_ID:	what is where its parent should be has another id
 * @LINK_LOOP:		the chain leads back to it
 * @LINK_TOO_DEEP:	there would be too many files in the chain
 * @LINK_DAMAGED:	it is no image that can be used
 * @LINK_UNREADABLE:	it cannot be read
 */
enum link_state {
	LINK_OK, LINK_BY_ID, LINK_TIME, LINK_SEVERAL, LINK_RAW, LINK_MISSING, LINK_WRONG_ID,
	LINK_LOOP, LINK_TOO_DEEP, LINK_DAMAGED, LINK_UNREADABLE
};

#define NO_PARENT	(~0u)

/**
 * struct found - one image below the directories
 * @path:	below the directory as the user named it
 * @real:	the same without any symbolic link
 * @type, @size: of the disk; 0 if unknown
 * @has_id:	@id is known, which is so of some that are damaged
 * @file_size:	bytes
 * @stored:	bytes that the file takes on its file system
 * @mtime:	seconds since 2000-01-01 UTC
 * @in_use:	somebody holds a lock for writing
 * @fault:	why it is damaged, or what else is worth saying
 * @why:	why it is unreadable
 * @header:	of a differencing image
 * @name:	what it calls its parent
 * @places:	where it says that its parent is
 * @state:	see &enum link_state
 * @parent:	index of its parent, or of what is in its place if that is
 *		LINK_WRONG_ID; NO_PARENT if there is none
 * @depth:	files in its chain as far as they were found, 0 if not yet known
 */
struct found {
	char *path;
	char *real;
	dev_t dev;
	ino_t ino;
	enum vhd_type type;
	u64 size;
	bool has_id;
	u8 id[16];
	u64 file_size;
	u64 stored;
	u32 mtime;
	bool in_use;
	enum vhd_fault fault;
	const char *why;
	struct vhd_header header;
	char *name;
	struct path_list places;
	enum link_state state;
	unsigned int parent;
	unsigned int depth;
};

/**
 * struct scan - the images below directories
 * @v:		sorted by path
 * @nr:		how many
 * @by_id:	indices of those with an id, sorted by it
 * @nr_ids:	how many
 * @failed:	something could not be looked at
 */
struct scan {
	struct found *v;
	unsigned int nr;
	unsigned int *by_id;
	unsigned int nr_ids;
	bool failed;
};

int scan_directory(struct scan *s, const char *dir, enum vhd_size_rule rule);
int scan_link(struct scan *s);
void scan_free(struct scan *s);

/* scantree.c */
bool scan_is_child(const struct found *f);

#endif /* VHDCTL_SCAN_H */
