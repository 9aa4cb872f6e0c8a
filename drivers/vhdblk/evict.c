// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: Dropping descriptors
 *
 * A descriptor that is clean can be looked up again, so it is a cache entry. A
 * hand goes round over the blocks and drops clean ones: when there are too many,
 * and when the kernel wants memory. What is dirty is clean after the next
 * commit, a few seconds later.
 *
 * The shrinker runs in the middle of anybody's allocation, also of our own under
 * whatever lock: it takes the allocator's lock only if that is free, and the
 * map's, which is innermost and under which nobody allocates. It never sleeps.
 */
#include <linux/mm.h>
#include <linux/shrinker.h>

#include "alloc.h"

/* Words that one call of the shrinker looks at: it holds the lock meanwhile. */
#define SHRINK_WORDS	65536u

/* Looked at by nobody but the map, and on disk what it is in memory. */
static bool evict(struct vhd_alloc *a, u32 block)
{
	u64 *page = a->map->page[block >> VHD_MAP_PAGE_SHIFT], *word, now;
	struct vhd_owners *o;

	lockdep_assert_held(&a->lock);
	if (!page)
		return false;
	word = &page[block & (VHD_MAP_PAGE_WORDS - 1)];
	now = READ_ONCE(*word);
	o = vhd_word_owners(now);
	if (!o || (now & (VHD_WORD_UNCOMMITTED | VHD_WORD_ALLOCATING)) ||
	    !vhd_owners_committed(o) || (a->bat_dirty && test_bit(block, a->bat_dirty)))
		return false;
	/* Setting a bit takes a reference first, so none can appear from here on. */
	if (!refcount_dec_if_one(&o->ref))
		return false;
	vhd_map_evict(a->map, word);
	vhd_owners_free(o);
	return true;
}

/* Until no more than @target bytes are left, or the hand has gone @words far. */
static void sweep(struct vhd_alloc *a, s64 target, u32 words)
{
	struct vhd_map *m = a->map;

	lockdep_assert_held(&a->lock);
	for (; words && atomic64_read(&m->owners_bytes) > target; words--) {
		if (m->page[m->hand >> VHD_MAP_PAGE_SHIFT])
			evict(a, m->hand++);
		else
			m->hand = (m->hand | (VHD_MAP_PAGE_WORDS - 1)) + 1;
		if (m->hand >= m->nr_blocks)
			m->hand = 0;
	}
}

/* Who found the spare descriptor in use tries again after this. */
static void evict_spare(struct vhd_alloc *a, bool hurry)
{
	struct vhd_spare *s = &a->map->spare;

	lockdep_assert_held(&a->lock);
	/* Whatever it is that lies at this block by now, it may go. */
	if (READ_ONCE(s->owners->idle) || evict(a, READ_ONCE(s->owners->block)))
		WRITE_ONCE(s->wanted, false);
	else if (hurry && a->bat_dirty)
		a->hurry(a);
}

/**
 * vhd_alloc_evict() - keep the memory of descriptors within bounds
 * @a: allocator of a leaf that has blocks
 * @hurry: ask for a commit if a dirty descriptor is in the way; not for the thread
 *	that commits: it would go round as long as somebody holds the descriptor
 *
 * Context: sleeps.
 */
void vhd_alloc_evict(struct vhd_alloc *a, bool hurry)
{
	struct vhd_map *m = a->map;

	if (atomic64_read(&m->owners_bytes) <= VHD_MAP_OWNERS_MAX && !READ_ONCE(m->spare.wanted))
		return;
	mutex_lock(&a->lock);
	sweep(a, VHD_MAP_OWNERS_MAX, VHD_MAP_EVICT_SCAN);
	if (READ_ONCE(m->spare.wanted))
		evict_spare(a, hurry);
	mutex_unlock(&a->lock);
}

/* In pages, the unit of both; dirty descriptors count too, they will be clean. */
static unsigned long shrink_count(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct vhd_alloc *a = vhd_shrinker_data(shrinker);

	return atomic64_read(&a->map->owners_bytes) >> PAGE_SHIFT;
}

static unsigned long shrink_scan(struct shrinker *shrinker, struct shrink_control *sc)
{
	struct vhd_alloc *a = vhd_shrinker_data(shrinker);
	s64 before, left, goal = (s64)sc->nr_to_scan << PAGE_SHIFT;

	if (!mutex_trylock(&a->lock))
		return SHRINK_STOP;
	before = atomic64_read(&a->map->owners_bytes);
	sweep(a, max(before - goal, 0), SHRINK_WORDS);
	left = atomic64_read(&a->map->owners_bytes);
	mutex_unlock(&a->lock);
	return before > left ? DIV_ROUND_UP(before - left, PAGE_SIZE) : 0;
}

/**
 * vhd_evict_init() - let the kernel ask for memory back
 * @a: allocator, otherwise ready
 *
 * Return: 0 or -ENOMEM.
 */
int vhd_evict_init(struct vhd_alloc *a)
{
	/* Without blocks there are no descriptors. */
	if (!a->map->nr_blocks)
		return 0;
	a->shrinker = vhd_shrinker_new("vhdblk-owners", a, shrink_count, shrink_scan);
	return a->shrinker ? 0 : -ENOMEM;
}

/**
 * vhd_evict_exit() - from here on nobody asks any more
 * @a: initialised, perhaps in part
 */
void vhd_evict_exit(struct vhd_alloc *a)
{
	if (a->shrinker)
		vhd_shrinker_free(a->shrinker);
	a->shrinker = NULL;
}
