/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The driver is written against 7.3; this makes 6.1 and 6.12 look like it.
 * Included by the compiler before anything else. What cannot be had under the
 * name of the newer kernel is a helper with a name of ours.
 */
#ifndef _VHDBLK_COMPAT_H
#define _VHDBLK_COMPAT_H

#include <linux/blk-mq.h>
#include <linux/blkdev.h>
#include <linux/bvec.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>

/* 6.14 dropped it: merging is always allowed. REMOVE WITH 6.12 */
#ifndef VHDBLK_HAVE_SHOULD_MERGE
#define BLK_MQ_F_SHOULD_MERGE	0
#endif

/* What mounts map owners with has a type of its own since 6.3. REMOVE WITH 6.1 */
#ifndef VHDBLK_HAVE_MNT_IDMAP
#define file_mnt_idmap	file_mnt_user_ns
#endif

/* The name of the offset into the first bvec changed. REMOVE WITH 6.12 */
static inline const struct bio_vec *vhd_bio_first_vec(const struct bio *bio)
{
	return __bvec_iter_bvec(bio->bi_io_vec, bio->bi_iter);
}

static inline unsigned int vhd_bio_first_offset(const struct bio *bio)
{
#ifdef VHDBLK_HAVE_BI_OFFSET
	return bio->bi_iter.bi_offset;
#else
	return bio->bi_iter.bi_bvec_done;
#endif
}

static inline void vhd_bio_set_first_offset(struct bio *bio, unsigned int offset)
{
#ifdef VHDBLK_HAVE_BI_OFFSET
	bio->bi_iter.bi_offset = offset;
#else
	bio->bi_iter.bi_bvec_done = offset;
#endif
}

/* An exclusive claim: a file since 6.9. REMOVE WITH 6.1 */
#ifdef VHDBLK_HAVE_BDEV_FILE
#define vhd_bdev_claim file
static inline struct file *vhd_bdev_claim_get(dev_t dev, bool write, void *holder)
{
	return bdev_file_open_by_dev(dev, BLK_OPEN_READ | (write ? BLK_OPEN_WRITE : 0),
				     holder, NULL);
}

static inline void vhd_bdev_claim_put(struct file *claim, bool write)
{
	bdev_fput(claim);
	/* Now, not later: whoever is told that it is free wants it. */
	flush_delayed_fput();
}
#else
#define vhd_bdev_claim block_device
static inline struct block_device *vhd_bdev_claim_get(dev_t dev, bool write, void *holder)
{
	return blkdev_get_by_dev(dev, FMODE_READ | FMODE_EXCL | (write ? FMODE_WRITE : 0),
				 holder);
}

static inline void vhd_bdev_claim_put(struct block_device *claim, bool write)
{
	blkdev_put(claim, FMODE_READ | FMODE_EXCL | (write ? FMODE_WRITE : 0));
}
#endif

/* Arguments of open, release and getgeo: 6.5 and 6.18. REMOVE WITH 6.1, 6.12 */
#ifdef VHDBLK_HAVE_DISK_OPEN
#define VHDBLK_OPEN_ARGS	struct gendisk *disk, blk_mode_t mode
#define VHDBLK_OPEN_DISK	disk
#define VHDBLK_OPEN_EXCL	BLK_OPEN_EXCL
#define VHDBLK_RELEASE_ARGS	struct gendisk *disk
#else
#define VHDBLK_OPEN_ARGS	struct block_device *bdev, fmode_t mode
#define VHDBLK_OPEN_DISK	(bdev->bd_disk)
#define VHDBLK_OPEN_EXCL	FMODE_EXCL
#define VHDBLK_RELEASE_ARGS	struct gendisk *disk, fmode_t mode
#endif
#ifdef VHDBLK_HAVE_DISK_GETGEO
#define VHDBLK_GETGEO_ARGS	struct gendisk *disk, struct hd_geometry *geo
#define VHDBLK_GETGEO_DISK	disk
#else
#define VHDBLK_GETGEO_ARGS	struct block_device *bdev, struct hd_geometry *geo
#define VHDBLK_GETGEO_DISK	(bdev->bd_disk)
#endif

/* See shrinker.c. REMOVE WITH 6.1 */
struct shrinker;
struct shrink_control;
typedef unsigned long vhd_shrink_fn(struct shrinker *s, struct shrink_control *sc);
struct shrinker *vhd_shrinker_new(const char *name, void *data, vhd_shrink_fn *count,
				  vhd_shrink_fn *scan);
void *vhd_shrinker_data(struct shrinker *s);
void vhd_shrinker_free(struct shrinker *s);

/* A string since 6.13. REMOVE WITH 6.12 */
#ifdef VHDBLK_HAVE_BARE_NS
#define VHDBLK_IMPORT_KUNIT_NS	MODULE_IMPORT_NS(EXPORTED_FOR_KUNIT_TESTING)
#else
#define VHDBLK_IMPORT_KUNIT_NS	MODULE_IMPORT_NS("EXPORTED_FOR_KUNIT_TESTING")
#endif

/**
 * struct vhdblk_limits - what a disk of ours tells the block layer
 * @chunk_sects:	requests do not cross a multiple of this; 0 for none
 * @max_sects:		largest request
 * @dma_align:		mask
 * @writable:		discard and write-zeroes make sense
 * @stable:		pages must not change while they are written
 */
struct vhdblk_limits {
	u32 chunk_sects;
	u32 max_sects;
	u32 dma_align;
	u32 max_segments;
	bool writable;
	bool stable;
};

struct gendisk *vhdblk_disk_alloc(struct blk_mq_tag_set *set, const struct vhdblk_limits *l,
				  void *queuedata);

#endif /* _VHDBLK_COMPAT_H */
