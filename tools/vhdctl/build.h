/* SPDX-License-Identifier: GPL-2.0 */
/* Making new image files. */
#ifndef VHDCTL_BUILD_H
#define VHDCTL_BUILD_H

#include "chain.h"

/**
 * struct new_image - what a new image shall be
 * @path:	its name
 * @type:	&enum vhd_type
 * @size:	virtual size in bytes
 * @block_size:	bytes; not of fixed images
 * @parent:	of differencing images, open and locked
 * @replace:	an existing regular file of that name may go
 * @fill:	NULL, or writes the contents, and the BAT if that is not empty, before
 *		there is any footer; says where the footer goes. Returns an exit code
 * @ctx:	for @fill
 */
struct new_image {
	const char *path;
	enum vhd_type type;
	u64 size;
	u32 block_size;
	const struct image *parent;
	bool replace;
	int (*fill)(const struct new_image *n, int fd, struct vhd_create_layout *layout);
	void *ctx;
};

/* newfile.c: a file that appears under its name only when complete */
struct new_file {
	char *path;
	char *temp;
	int fd;
	bool named;		/* there is a file of the name @temp */
	bool replace;
};

int new_file_open(struct new_file *f, const char *path, bool replace);
int new_file_commit(struct new_file *f);
void new_file_abort(struct new_file *f);

/**
 * struct parent_texts - what names a parent
 * @data:	texts of the locators, each in whole sectors
 * @sects:	of @data
 */
struct parent_texts {
	u8 *data;
	u32 sects;
};

int build_parent(struct parent_texts *t, struct vhd_header *h, const char *path,
		 const struct image *parent, u64 sect);
int image_build(const struct new_image *n);
int child_build(struct new_image *n, struct chain *parents, const struct options *o,
		const char *parent);

#endif /* VHDCTL_BUILD_H */
