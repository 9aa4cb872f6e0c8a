/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints: what a request went through, and what happened behind its back.
 *
 * A call site passes what it has at hand; the fields are read only where
 * somebody listens. Structures are known to trace.c alone, so that any file may
 * include this one, whatever its rank.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vhdblk

#if !defined(_VHDBLK_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define _VHDBLK_TRACE_H

#include <linux/tracepoint.h>

struct list_head;
struct vhd_alloc;
struct vhd_commit;
struct vhd_map;
struct vhd_owners;
struct vhdblk_cmd;

#ifndef _VHDBLK_TRACE_ONCE
#define _VHDBLK_TRACE_ONCE
/* How a request is served; one that would have blocked is fast or inline, then slow. */
enum vhdblk_class {
	VHDBLK_CLASS_HOLE,
	VHDBLK_CLASS_FAST,
	VHDBLK_CLASS_SLOW,
	VHDBLK_CLASS_INLINE
};

/* Longest name of an operation: WRITE_ZEROES. */
#define VHDBLK_TRACE_OP_LEN	16
#endif

TRACE_DEFINE_ENUM(VHDBLK_CLASS_HOLE);
TRACE_DEFINE_ENUM(VHDBLK_CLASS_FAST);
TRACE_DEFINE_ENUM(VHDBLK_CLASS_SLOW);
TRACE_DEFINE_ENUM(VHDBLK_CLASS_INLINE);

TRACE_EVENT(vhdblk_class,
	TP_PROTO(struct vhdblk_cmd *cmd, enum vhdblk_class class),
	TP_ARGS(cmd, class),
	TP_STRUCT__entry(
		__field(int, index)
		__field(u32, class)
		__array(char, op, VHDBLK_TRACE_OP_LEN)
		__field(u64, sector)
		__field(u32, sectors)
	),
	TP_fast_assign(
		__entry->index = cmd->q->chain->index;
		__entry->class = class;
		strscpy(__entry->op, blk_op_str(req_op(blk_mq_rq_from_pdu(cmd))),
			VHDBLK_TRACE_OP_LEN);
		__entry->sector = cmd->sector;
		__entry->sectors = cmd->left;
	),
	TP_printk("vhd%d op=%s sector=%llu sectors=%u class=%s",
		  __entry->index, __entry->op, __entry->sector, __entry->sectors,
		  __print_symbolic(__entry->class,
				   { VHDBLK_CLASS_HOLE, "hole" },
				   { VHDBLK_CLASS_FAST, "fast" },
				   { VHDBLK_CLASS_SLOW, "slow" },
				   { VHDBLK_CLASS_INLINE, "inline" }))
);

TRACE_EVENT(vhdblk_submit,
	TP_PROTO(struct vhdblk_cmd *cmd, unsigned int flags),
	TP_ARGS(cmd, flags),
	TP_STRUCT__entry(
		__field(int, index)
		__field(u32, layer)
		__array(char, op, VHDBLK_TRACE_OP_LEN)
		__field(u64, sector)
		__field(u64, file_sector)
		__field(u32, sectors)
		__field(bool, nowait)
		__field(bool, dsync)
	),
	TP_fast_assign(
		__entry->index = cmd->q->chain->index;
		__entry->layer = cmd->place.layer - 1;
		strscpy(__entry->op, blk_op_str(req_op(blk_mq_rq_from_pdu(cmd))),
			VHDBLK_TRACE_OP_LEN);
		__entry->sector = cmd->sector;
		__entry->file_sector = cmd->place.sect;
		__entry->sectors = cmd->place.sects;
		__entry->nowait = flags & VHD_IO_NOWAIT;
		__entry->dsync = flags & VHD_IO_DSYNC;
	),
	TP_printk("vhd%d op=%s sector=%llu sectors=%u layer=%u file_sector=%llu nowait=%d dsync=%d",
		  __entry->index, __entry->op, __entry->sector, __entry->sectors,
		  __entry->layer, __entry->file_sector, __entry->nowait, __entry->dsync)
);

TRACE_EVENT(vhdblk_complete,
	TP_PROTO(struct vhdblk_cmd *cmd, int error),
	TP_ARGS(cmd, error),
	TP_STRUCT__entry(
		__field(int, index)
		__field(int, error)
		__array(char, op, VHDBLK_TRACE_OP_LEN)
		__field(u64, sector)
		__field(u32, sectors)
	),
	TP_fast_assign(
		struct request *rq = blk_mq_rq_from_pdu(cmd);

		__entry->index = cmd->q->chain->index;
		__entry->error = error;
		strscpy(__entry->op, blk_op_str(req_op(rq)), VHDBLK_TRACE_OP_LEN);
		/* That of a flush is -1. */
		__entry->sector = blk_rq_sectors(rq) ? blk_rq_pos(rq) : 0;
		__entry->sectors = blk_rq_sectors(rq);
	),
	TP_printk("vhd%d op=%s sector=%llu sectors=%u error=%d",
		  __entry->index, __entry->op, __entry->sector, __entry->sectors,
		  __entry->error)
);

TRACE_EVENT(vhdblk_resolve,
	TP_PROTO(struct vhd_map *map, u32 block, struct vhd_owners *owners, u64 start),
	TP_ARGS(map, block, owners, start),
	TP_STRUCT__entry(
		__field(int, index)
		__field(u32, block)
		__field(u32, runs)
		__field(u32, bytes)
		__field(u64, ns)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->index = map->chain->index;
		__entry->block = block;
		__entry->runs = IS_ERR(owners) ? 0 : owners->nr;
		__entry->bytes = IS_ERR(owners) ? 0 : owners->bytes;
		/* Nobody listened yet when it began: unknown. */
		__entry->ns = start ? ktime_get_ns() - start : 0;
		__entry->error = PTR_ERR_OR_ZERO(owners);
	),
	TP_printk("vhd%d block=%u runs=%u bytes=%u ns=%llu error=%d",
		  __entry->index, __entry->block, __entry->runs, __entry->bytes,
		  __entry->ns, __entry->error)
);

TRACE_EVENT(vhdblk_alloc,
	TP_PROTO(struct vhd_alloc *alloc, u32 block, u32 slot, u64 zeroed, int error),
	TP_ARGS(alloc, block, slot, zeroed, error),
	TP_STRUCT__entry(
		__field(int, index)
		__field(u32, block)
		__field(u32, slot)
		__field(u64, zeroed)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->index = alloc->map->chain->index;
		__entry->block = block;
		__entry->slot = slot;
		__entry->zeroed = zeroed;
		__entry->error = error;
	),
	TP_printk("vhd%d block=%u slot=%u zeroed=%llu error=%d",
		  __entry->index, __entry->block, __entry->slot, __entry->zeroed,
		  __entry->error)
);

TRACE_EVENT(vhdblk_free,
	TP_PROTO(struct vhd_alloc *alloc, u32 block, u32 slot),
	TP_ARGS(alloc, block, slot),
	TP_STRUCT__entry(
		__field(int, index)
		__field(u32, block)
		__field(u32, slot)
	),
	TP_fast_assign(
		__entry->index = alloc->map->chain->index;
		__entry->block = block;
		__entry->slot = slot;
	),
	TP_printk("vhd%d block=%u slot=%u", __entry->index, __entry->block, __entry->slot)
);

TRACE_EVENT(vhdblk_extend,
	TP_PROTO(struct vhd_alloc *alloc, u64 new_end, int error),
	TP_ARGS(alloc, new_end, error),
	TP_STRUCT__entry(
		__field(int, index)
		__field(int, error)
		__field(u64, end)
		__field(u64, new_end)
	),
	TP_fast_assign(
		__entry->index = alloc->map->chain->index;
		__entry->error = error;
		__entry->end = alloc->end;
		__entry->new_end = new_end;
	),
	TP_printk("vhd%d end=%llu new_end=%llu error=%d",
		  __entry->index, __entry->end, __entry->new_end, __entry->error)
);

TRACE_EVENT(vhdblk_commit_begin,
	TP_PROTO(struct vhd_commit *commit, struct list_head *waiters),
	TP_ARGS(commit, waiters),
	TP_STRUCT__entry(
		__field(int, index)
		__field(u32, waiters)
		__field(u64, number)
		__field(u32, blocks)
	),
	TP_fast_assign(
		struct list_head *pos;

		__entry->index = commit->alloc->map->chain->index;
		__entry->number = commit->number;
		__entry->blocks = READ_ONCE(commit->alloc->dirty_blocks);
		__entry->waiters = 0;
		list_for_each(pos, waiters)
			__entry->waiters++;
	),
	TP_printk("vhd%d number=%llu waiters=%u blocks=%u",
		  __entry->index, __entry->number, __entry->waiters, __entry->blocks)
);

TRACE_EVENT(vhdblk_commit_end,
	TP_PROTO(struct vhd_commit *commit, int error),
	TP_ARGS(commit, error),
	TP_STRUCT__entry(
		__field(int, index)
		__field(int, error)
		__field(u64, number)
		__field(u32, entries)
		__field(u32, bitmaps)
		__field(u32, fsyncs)
	),
	TP_fast_assign(
		__entry->index = commit->alloc->map->chain->index;
		__entry->error = error;
		__entry->number = commit->number;
		__entry->entries = commit->entries;
		__entry->bitmaps = commit->bitmaps;
		__entry->fsyncs = atomic64_read(&commit->exec.fsyncs) - commit->fsyncs;
	),
	TP_printk("vhd%d number=%llu entries=%u bitmaps=%u fsyncs=%u error=%d",
		  __entry->index, __entry->number, __entry->entries, __entry->bitmaps,
		  __entry->fsyncs, __entry->error)
);

#endif /* _VHDBLK_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace

#include <trace/define_trace.h>
