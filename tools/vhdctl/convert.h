/* SPDX-License-Identifier: GPL-2.0 */
/* Copying a disk: where its bytes come from, where they go, and what moves them. */
#ifndef VHDCTL_CONVERT_H
#define VHDCTL_CONVERT_H

#include "build.h"

/* Whole pages: what is read or written around the page cache never shares one. */
#define CONVERT_PAGE	4096u

/* Most that is moved at once, in bytes. */
#define CONVERT_CHUNK	(2u << 20)

/**
 * struct direct_fd - a second way to a file, around the page cache
 * @fd:		opened with O_DIRECT, -1 if that cannot be
 * @align:	what positions and lengths must be multiples of
 * @mem_align:	what addresses must be multiples of
 */
struct direct_fd {
	int fd;
	u32 align;
	u32 mem_align;
};

/**
 * struct source - a disk to be read
 * @path:	as the user named it
 * @chain:	its files; none if it is a stream
 * @direct:	of each file
 * @size:	bytes, a multiple of 512; of a stream only known at its end
 * @stream:	standard input, to be read in order
 * @seen:	file whose extent @data_start to @data_end is known to be no hole
 */
struct source {
	const char *path;
	struct chain chain;
	struct direct_fd direct[VHD_MAX_DEPTH];
	u64 size;
	bool stream;
	const struct image *seen;
	u64 data_start;
	u64 data_end;
};

/**
 * struct source_run - a stretch of the disk with one answer
 * @zero:	reads as zeros
 * @layer:	whose data it is otherwise
 * @pos:	where they lie in that file, in bytes
 * @len:	bytes
 */
struct source_run {
	bool zero;
	unsigned int layer;
	u64 pos;
	u64 len;
};

enum target_kind {
	TARGET_FLAT,		/* a new file in which the disk lies as it is */
	TARGET_DYNAMIC,		/* a new file with a table of blocks */
	TARGET_DEVICE,		/* a block device, which holds something already */
	TARGET_STREAM,		/* standard output, to be written in order */
};

/**
 * struct target - where a disk is written
 * @path:	for messages
 * @kind:	see &enum target_kind
 * @fd:		open for writing
 * @direct:	the same file
 * @chunk:	bytes; nothing that is written at once crosses a multiple of it
 * @held:	first bytes of a device, written last; NULL if they are zeros
 * @held_len:	how many
 * @size:	bytes of the disk, of a dynamic target
 * @layout:	where the parts of a dynamic target lie
 * @bat:	its table as it will be on disk
 * @next:	first sector that nothing uses
 * @eof:	end of the file, in bytes
 * @written:	result: bytes of the disk that were written as data
 */
struct target {
	const char *path;
	enum target_kind kind;
	int fd;
	struct direct_fd direct;
	u32 chunk;
	void *held;
	u32 held_len;
	u64 size;
	struct vhd_layout layout;
	__be32 *bat;
	u64 next;
	u64 eof;
	u64 written;
};

/* direct.c */
void direct_open(struct direct_fd *d, int fd, bool write);
void direct_close(struct direct_fd *d);
bool direct_fits(const struct direct_fd *d, const void *buf, u64 len, u64 pos);

/* source.c */
int source_open(struct source *s, const char *path, bool raw, const struct options *o);
int source_open_stream(struct source *s);
int source_adopt(struct source *s, int fd);
int source_run(struct source *s, u64 pos, u64 end, struct source_run *run);
int source_fail(const struct source *s, unsigned int layer, int err);
void source_close(struct source *s);

/* target.c */
void target_init(struct target *t, enum target_kind kind, const char *path, int fd);
int target_init_dynamic(struct target *t, const struct new_image *n, int fd, u64 first);
int target_place(struct target *t, u64 pos, u64 *file_pos);
int target_zero(struct target *t, u64 pos, u64 len);
int target_write(const struct target *t, const void *buf, size_t len, u64 pos);
int target_hold(struct target *t, const void *buf, u32 len);
int target_finish_device(struct target *t);
int target_finish_dynamic(struct target *t, struct vhd_create_layout *layout);
int target_fail(const struct target *t, int err);
void target_close(struct target *t);

/* pump.c */
int pump(struct source *s, struct target *t, bool progress);

/* progress.c */

/**
 * struct progress - how far a copy is, on standard error
 * @wanted:	false if nobody wants to know
 * @terminal:	a line is drawn over
 * @next_ms:	when to draw the next one
 * @shown:	tenths of the way that are said already, if it is no terminal
 */
struct progress {
	bool wanted;
	bool terminal;
	u64 next_ms;
	unsigned int shown;
};

void progress_start(struct progress *p, bool wanted);
void progress_show(struct progress *p, u64 done, u64 size);
void progress_end(struct progress *p, u64 done);

#endif /* VHDCTL_CONVERT_H */
