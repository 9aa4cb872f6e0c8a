// SPDX-License-Identifier: GPL-2.0
/* Limits of a queue: one structure since 6.9, a dozen setters before. */
#include <linux/blk-mq.h>
#include <linux/blkdev.h>

/* Discard and write-zeroes span blocks: the driver walks over them. */
#define VHDBLK_MAX_ZERO_SECTS	(UINT_MAX >> 9)

#ifdef VHDBLK_HAVE_QUEUE_LIMITS
struct gendisk *vhdblk_disk_alloc(struct blk_mq_tag_set *set, const struct vhdblk_limits *l,
				  void *queuedata)
{
	struct queue_limits lim = {
		.logical_block_size	= 512,
		.physical_block_size	= 4096,
		.io_min			= 4096,
		.io_opt			= l->max_sects << 9,
		.chunk_sectors		= l->chunk_sects,
		.max_hw_sectors		= l->max_sects,
		.max_segments		= l->max_segments,
		.max_segment_size	= UINT_MAX,
		.dma_alignment		= l->dma_align,
		.features		= BLK_FEAT_WRITE_CACHE | BLK_FEAT_FUA,
	};

	if (l->stable)
		lim.features |= BLK_FEAT_STABLE_WRITES;
	if (l->writable) {
		lim.max_hw_discard_sectors = VHDBLK_MAX_ZERO_SECTS;
		lim.max_write_zeroes_sectors = VHDBLK_MAX_ZERO_SECTS;
		lim.discard_granularity = 4096;
	}
	return blk_mq_alloc_disk(set, &lim, queuedata);
}
#else
struct gendisk *vhdblk_disk_alloc(struct blk_mq_tag_set *set, const struct vhdblk_limits *l,
				  void *queuedata)
{
	struct gendisk *disk = blk_mq_alloc_disk(set, queuedata);
	struct request_queue *q;

	if (IS_ERR(disk))
		return disk;
	q = disk->queue;
	blk_queue_logical_block_size(q, 512);
	blk_queue_physical_block_size(q, 4096);
	blk_queue_io_min(q, 4096);
	blk_queue_io_opt(q, l->max_sects << 9);
	blk_queue_max_hw_sectors(q, l->max_sects);
	/* The setter caps it at 1280 KiB, whatever io_opt says. */
	q->limits.max_sectors = l->max_sects;
	if (l->chunk_sects)
		blk_queue_chunk_sectors(q, l->chunk_sects);
	blk_queue_max_segments(q, l->max_segments);
	blk_queue_max_segment_size(q, UINT_MAX);
	blk_queue_dma_alignment(q, l->dma_align);
	blk_queue_write_cache(q, true, true);
	blk_queue_flag_set(QUEUE_FLAG_NONROT, q);
	blk_queue_flag_set(QUEUE_FLAG_NOWAIT, q);
	if (l->stable)
		blk_queue_flag_set(QUEUE_FLAG_STABLE_WRITES, q);
	if (l->writable) {
		blk_queue_max_discard_sectors(q, VHDBLK_MAX_ZERO_SECTS);
		blk_queue_max_write_zeroes_sectors(q, VHDBLK_MAX_ZERO_SECTS);
		q->limits.discard_granularity = 4096;
	}
	return disk;
}
#endif
