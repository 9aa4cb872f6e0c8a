// SPDX-License-Identifier: GPL-2.0
/*
 * The metadata of an image as they were before a repair, in a file beside it, and how
 * they come back.
 *
 * The file: struct saved_head; for each region struct saved_region; the bytes of the
 * regions, in that order; struct saved_tail; struct saved_after, zeros until the repair is over.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build.h"
#include "exec.h"
#include "mend.h"
#include "sparse.h"

#define SAVED_COOKIE	"vhdsaved"
#define SAVED_VERSION	1u
#define MAX_REGIONS	24u
/* Names that are tried for a copy. */
#define MAX_NAMES	1000u
/* The longest table that a repair changes; see bat_padding_end(). */
#define MAX_TABLE	((2ULL * VHD_MAX_BLOCKS + 128) * 4)

struct saved_head {
	char cookie[8];
	__be32 version;
	__be32 nr;
	__be64 size;			/* of the image, bytes */
	u8 uuid[16];
} __packed;

struct saved_region {
	__be64 pos;
	__be64 len;
} __packed;

struct saved_tail {
	__be64 hash;
	char cookie[8];
} __packed;

/* What the regions held when nobody else had written yet. */
struct saved_after {
	__be64 size;			/* of the image, bytes */
	__be64 hash;
	char cookie[8];
} __packed;

struct saver {
	struct image *img;
	struct saved_head head;
	struct saved_region region[MAX_REGIONS];
	unsigned int nr;
	struct image out;		/* wraps a descriptor for image_read() and image_write() */
	u64 pos;
	u64 hash;
};

/* Of what the file holds; regions may overlap. */
static void add_region(struct saver *s, u64 pos, u64 len)
{
	if (pos >= s->img->size || !len || s->nr == MAX_REGIONS)
		return;
	s->region[s->nr].pos = cpu_to_be64(pos);
	s->region[s->nr++].len = cpu_to_be64(min_t(u64, len, s->img->size - pos));
}

static void add_sparse(struct saver *s)
{
	struct image *img = s->img;
	const struct vhd_layout *l = &img->layout;
	u64 bat_end = ((u64)l->bat_sect + l->bat_sects) << VHD_SECTOR_SHIFT;
	u32 entry = image_bat_entry(img, l->entries - 1);
	unsigned int i;

	add_region(s, be64_to_cpu(img->footer.data_offset), sizeof(img->header));
	add_region(s, l->bat_sect << VHD_SECTOR_SHIFT,
		   min_t(u64, (u64)l->bat_sects << VHD_SECTOR_SHIFT, MAX_TABLE));
	add_region(s, bat_end, sizeof(struct vhd_batmap) + vhd_batmap_map_bytes(l));
	for (i = 0; i < VHD_LOCATORS; i++)
		add_region(s, l->locator[i].sect << VHD_SECTOR_SHIFT,
			   (u64)l->locator[i].sects << VHD_SECTOR_SHIFT);
	if (entry && entry != VHD_BAT_UNUSED)
		add_region(s, (u64)entry << VHD_SECTOR_SHIFT,
			   (u64)l->bitmap_sects << VHD_SECTOR_SHIFT);
}

/* The footer at the end, and what lies before it in its page. */
static void add_regions(struct saver *s)
{
	u64 size = s->img->size, tail = min_t(u64, size, 2 * PAGE_BYTES);

	add_region(s, 0, VHD_SECTOR_SIZE);
	if (s->img->layout.type != VHD_TYPE_FIXED)
		add_sparse(s);
	add_region(s, size - tail, tail);
}

/* FNV-1a */
static void add_hash(struct saver *s, const void *data, size_t len)
{
	const u8 *p = data;

	while (len--)
		s->hash = (s->hash ^ *p++) * 0x100000001b3ULL;
}

static void start_hash(struct saver *s)
{
	s->hash = 0xcbf29ce484222325ULL;
	s->pos = 0;
}

static int put(struct saver *s, const void *data, size_t len)
{
	int ret = image_write(&s->out, data, len, s->pos);

	add_hash(s, data, len);
	s->pos += len;
	return ret;
}

static int put_region(struct saver *s, const struct saved_region *r, u8 *buf)
{
	u64 pos = be64_to_cpu(r->pos), left = be64_to_cpu(r->len), len;
	int ret = 0;

	for (; !ret && left; pos += len, left -= len) {
		len = min_t(u64, left, PIECE_BYTES);
		ret = image_read(s->img, buf, len, pos);
		if (!ret)
			ret = put(s, buf, len);
	}
	return ret;
}

static int put_all(struct saver *s)
{
	struct {
		struct saved_tail tail;
		struct saved_after after;
	} end = { .tail.cookie = SAVED_COOKIE };
	u8 *buf = malloc(PIECE_BYTES);
	unsigned int i;
	int ret = buf ? 0 : -ENOMEM;

	start_hash(s);
	if (!ret)
		ret = put(s, &s->head, sizeof(s->head));
	if (!ret)
		ret = put(s, s->region, s->nr * sizeof(*s->region));
	for (i = 0; !ret && i < s->nr; i++)
		ret = put_region(s, &s->region[i], buf);
	end.tail.hash = cpu_to_be64(s->hash);
	free(buf);
	return ret ? ret : put(s, &end, sizeof(end));
}

static void init_saver(struct saver *s, struct image *img)
{
	memset(s, 0, sizeof(*s));
	s->img = img;
	add_regions(s);
	memcpy(s->head.cookie, SAVED_COOKIE, sizeof(s->head.cookie));
	s->head.version = cpu_to_be32(SAVED_VERSION);
	s->head.nr = cpu_to_be32(s->nr);
	s->head.size = cpu_to_be64(img->size);
	memcpy(s->head.uuid, img->footer.uuid, sizeof(s->head.uuid));
}

/* Beside the image; a copy that is there already stays. */
static char *free_name(const struct image *img)
{
	unsigned int i;
	struct stat st;
	char *name;

	for (i = 0; i < MAX_NAMES; i++) {
		if ((i ? asprintf(&name, "%s.saved.%u", img->path, i) :
			 asprintf(&name, "%s.saved", img->path)) < 0)
			return NULL;
		if (lstat(name, &st) && errno == ENOENT)
			return name;
		free(name);
	}
	return NULL;
}

static char *choose_name(const struct mend *m)
{
	char *name;

	if (m->o->backup)
		return strdup(m->o->backup);
	if (m->img->block_device) {
		msg_error("%s: say with --backup which file shall keep the old metadata",
			  m->img->path);
		return NULL;
	}
	name = free_name(m->img);
	if (!name)
		msg_error("%s: no name is free for a copy of the old metadata", m->img->path);
	return name;
}

static int write_copy(struct mend *m, const char *name)
{
	struct saver s;
	struct new_file file;
	int ret;

	if (new_file_open(&file, name, false))
		return -ECANCELED;
	init_saver(&s, m->img);
	s.out.fd = file.fd;
	ret = put_all(&s);
	if (!ret)
		return new_file_commit(&file) ? -ECANCELED : 0;
	msg_error("%s: %s", name, strerror(-ret));
	new_file_abort(&file);
	return -ECANCELED;
}

/**
 * save_metadata() - copy all that a repair may change, before its first write
 * @m:	the repair; its image is as it was
 *
 * Return: 0 when the copy is durable, there is one, or none is wanted; -ECANCELED
 * after a message.
 */
int save_metadata(struct mend *m)
{
	char *name;
	int ret;

	if (m->saved || m->o->no_backup)
		return 0;
	name = choose_name(m);
	if (!name)
		return -ECANCELED;
	ret = write_copy(m, name);
	if (!ret)
		m->saved = name;
	else
		free(name);
	return ret;
}

static int get(struct saver *s, void *data, size_t len)
{
	int ret = image_read(&s->out, data, len, s->pos);

	add_hash(s, data, len);
	s->pos += len;
	return ret;
}

static int get_region(struct saver *s, const struct saved_region *r, u8 *buf, bool write)
{
	u64 pos = be64_to_cpu(r->pos), left = be64_to_cpu(r->len), len;
	int ret = 0;

	for (; !ret && left; pos += len, left -= len) {
		len = min_t(u64, left, PIECE_BYTES);
		ret = get(s, buf, len);
		if (!ret && write)
			ret = image_write(s->img, buf, len, pos);
	}
	return ret;
}

/* Return: 0, -EINVAL if it is no whole copy, or another negative errno. */
static int get_all(struct saver *s, bool write)
{
	struct saved_tail tail;
	u8 *buf = malloc(PIECE_BYTES);
	unsigned int i;
	int ret = buf ? 0 : -ENOMEM;
	u64 hash;

	start_hash(s);
	if (!ret)
		ret = get(s, &s->head, sizeof(s->head));
	s->nr = be32_to_cpu(s->head.nr);
	if (!ret && (memcmp(s->head.cookie, SAVED_COOKIE, sizeof(s->head.cookie)) ||
		     be32_to_cpu(s->head.version) != SAVED_VERSION || s->nr > MAX_REGIONS))
		ret = -EINVAL;
	if (!ret)
		ret = get(s, s->region, s->nr * sizeof(*s->region));
	for (i = 0; !ret && i < s->nr; i++)
		ret = get_region(s, &s->region[i], buf, write);
	hash = s->hash;
	if (!ret)
		ret = get(s, &tail, sizeof(tail));
	if (!ret && be64_to_cpu(tail.hash) != hash)
		ret = -EINVAL;
	free(buf);
	return ret == -ENODATA ? -EINVAL : ret;
}

/* The regions as they are now; what is behind the end of the image counts as nothing. */
static int hash_image(struct saver *s, u64 *hash)
{
	u64 size = s->img->size, pos, left, len;
	u8 *buf = malloc(PIECE_BYTES);
	unsigned int i;
	int ret = buf ? 0 : -ENOMEM;

	start_hash(s);
	for (i = 0; !ret && i < s->nr; i++) {
		pos = be64_to_cpu(s->region[i].pos);
		left = pos < size ? min_t(u64, be64_to_cpu(s->region[i].len), size - pos) : 0;
		for (; !ret && left; pos += len, left -= len) {
			len = min_t(u64, left, PIECE_BYTES);
			ret = image_read(s->img, buf, len, pos);
			add_hash(s, buf, ret ? 0 : len);
		}
	}
	free(buf);
	*hash = s->hash;
	return ret;
}

/* After get_all() the position is that behind the copy. */
static int put_after(struct saver *s)
{
	struct saved_after after = { .cookie = SAVED_COOKIE };
	u64 pos = s->pos, hash;
	int ret = image_refresh_size(s->img);

	if (!ret)
		ret = hash_image(s, &hash);
	if (ret)
		return ret;
	after.size = cpu_to_be64(s->img->size);
	after.hash = cpu_to_be64(hash);
	ret = image_write(&s->out, &after, sizeof(after), pos);
	return !ret && fsync(s->out.fd) ? -errno : ret;
}

/**
 * save_after() - note in the copy what the repaired image looks like
 * @m:	the repair, over
 *
 * Without that, --restore could not tell the image from one that has been written since,
 * and would take away the blocks that it has got. An interrupted repair has no note.
 *
 * Return: 0, also if there is no copy; -ECANCELED after a message.
 */
int save_after(struct mend *m)
{
	struct image_how how = { .write = true, .beneath = -1 };
	struct saver *s;
	int ret;

	if (!m->saved)
		return 0;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	ret = image_open(&s->out, m->saved, &how);
	if (!ret)
		ret = get_all(s, false);
	s->img = m->img;
	if (!ret)
		ret = put_after(s);
	if (ret)
		msg_error("%s: %s", m->saved, strerror(abs(ret)));
	image_close(&s->out);
	free(s);
	return ret ? -ECANCELED : 0;
}

/* Return: 0 if nobody has, -ESTALE, or another negative errno. */
static int written_since(struct saver *s)
{
	static const struct saved_after none;
	u64 pos = s->pos, hash;
	struct saved_after after;
	int ret = image_read(&s->out, &after, sizeof(after), pos);

	if (!ret && memcmp(after.cookie, SAVED_COOKIE, sizeof(after.cookie)))
		return 0;
	if (!ret)
		ret = image_refresh_size(s->img);
	if (!ret)
		ret = hash_image(s, &hash);
	if (!ret && (be64_to_cpu(after.size) != s->img->size || be64_to_cpu(after.hash) != hash))
		ret = -ESTALE;
	/* From the first write on the image is neither: an interrupted run is run again. */
	if (!ret)
		ret = image_write(&s->out, &none, sizeof(none), pos);
	return !ret && fsync(s->out.fd) ? -errno : ret;
}

static int restore_size(struct saver *s)
{
	u64 size = be64_to_cpu(s->head.size);

	if (!s->img->block_device && ftruncate(s->img->fd, size))
		return -errno;
	return fsync(s->img->fd) ? -errno : 0;
}

static bool is_other_disk(const struct saver *s, struct image *img, const struct options *o)
{
	return !image_load(img, o->size_rule) &&
	       memcmp(img->footer.uuid, s->head.uuid, sizeof(s->head.uuid));
}

static int restore(struct saver *s, struct image *img, const struct options *o)
{
	int ret = get_all(s, false);

	if (ret) {
		msg_error("%s: %s", o->restore, ret == -EINVAL ?
			  "no complete copy of metadata" : strerror(-ret));
		return exit_of_errno(ret);
	}
	s->img = img;
	if (is_other_disk(s, img, o)) {
		msg_error("%s: has another unique id than the image of %s", img->path, o->restore);
		return VHDCTL_ID_MISMATCH;
	}
	ret = written_since(s);
	if (ret == -ESTALE) {
		msg_error("%s: has been written since it was repaired; that would be lost",
			  img->path);
		return VHDCTL_ERROR;
	}
	img->fault = VHD_OK;
	if (!ret)
		ret = get_all(s, true);
	if (!ret)
		ret = restore_size(s);
	if (!ret)
		ret = put_after(s);
	return ret ? image_report(img, 0, ret) : VHDCTL_OK;
}

/**
 * restore_main() - put back what save_metadata() has saved
 * @o:	command line
 *
 * An interrupted one is run again.
 *
 * Return: &enum vhdctl_exit.
 */
int restore_main(const struct options *o)
{
	struct image_how how = { .write = true, .named = true, .beneath = -1 };
	struct image_how copy = { .write = true, .beneath = -1 };
	struct saver *s = calloc(1, sizeof(*s));
	struct image img;
	int ret;

	if (!s)
		return VHDCTL_ERROR;
	ret = image_open(&s->out, o->restore, &copy);
	if (ret) {
		ret = image_report(&s->out, 0, ret);
		image_close(&s->out);
		free(s);
		return ret;
	}
	ret = image_open(&img, o->args[0], &how);
	if (!ret)
		ret = image_lock(&img, true);
	ret = ret ? image_report(&img, 0, ret) : restore(s, &img, o);
	image_close(&img);
	image_close(&s->out);
	free(s);
	return ret;
}
