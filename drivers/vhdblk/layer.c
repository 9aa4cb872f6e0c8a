// SPDX-License-Identifier: GPL-2.0
/*
 * One file: its footers, header and BAT read and checked.
 *
 * Nothing that is read here is believed before the check in format/ has passed,
 * and memory is only spent on what the file really contains: pages of the BAT
 * that hold no entry are not kept.
 */
#include <linux/bsearch.h>
#include <linux/file.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "layer.h"
#include "registry.h"

/* Bytes of the BAT read at a time. */
#define BAT_CHUNK	(VHD_BAT_PAGE_ENTRIES * sizeof(__be32))

struct footer_pair {
	u8 tail[2 * VHD_SECTOR_SIZE];	/* read as sectors, the footer may lie across */
	struct vhd_footer end;
	struct vhd_footer copy;
};

/* A short read leaves zeros, which no check takes for a footer. */
static int read_zeroed(struct vhd_layer *l, u64 pos, void *buf, size_t len)
{
	ssize_t ret;

	memset(buf, 0, len);
	ret = vhd_io_read(&l->f, pos, buf, len);
	return ret < 0 ? ret : 0;
}

/*
 * A file of 512n+511 bytes ends in the 511-byte footer of old Virtual PC, which
 * starts on a sector boundary. With any other remainder the footer lies across
 * two sectors, or something stopped in the middle of a write.
 */
static int read_footers(struct vhd_layer *l, struct footer_pair *p, u32 *end_bytes)
{
	u32 odd = l->f.size % VHD_SECTOR_SIZE;
	u32 skip = odd == VHD_SECTOR_SIZE - 1 ? 0 : odd;
	u64 pos = l->f.size - odd;
	int ret;

	*end_bytes = odd == VHD_SECTOR_SIZE - 1 ? odd : VHD_SECTOR_SIZE;
	if (odd != VHD_SECTOR_SIZE - 1)
		pos -= VHD_SECTOR_SIZE;
	ret = read_zeroed(l, 0, &p->copy, sizeof(p->copy));
	if (!ret)
		ret = read_zeroed(l, pos, p->tail, skip ? sizeof(p->tail) : VHD_SECTOR_SIZE);
	memcpy(&p->end, p->tail + skip, sizeof(p->end));
	return ret;
}

/* Across two sectors it is good for a fixed disk only: that one never moves. */
static bool end_is_usable(struct vhd_layer *l, const struct vhd_footer *end, u32 end_bytes)
{
	if (end_bytes != VHD_SECTOR_SIZE || l->f.size % VHD_SECTOR_SIZE == 0)
		return true;
	return vhd_footer_check(end) == VHD_OK && vhd_footer_type(end) == VHD_TYPE_FIXED;
}

static int choose_footer(struct vhd_layer *l, struct footer_pair *p, u32 end_bytes,
			 struct vhd_error *error)
{
	struct vhd_footer_choice choice;
	enum vhd_fault fault;

	fault = vhd_footer_choose(end_is_usable(l, &p->end, end_bytes) ? &p->end : NULL,
				  &p->copy, end_bytes, &choice);
	if (fault)
		return vhd_error_fault(error, fault);
	l->place = choice.place;
	l->footer = choice.place == VHD_FOOTER_COPY ? p->copy : p->end;
	l->fix_end = choice.place == VHD_FOOTER_COPY;
	l->fix_copy = choice.differ && choice.place == VHD_FOOTER_END;
	if (choice.place == VHD_FOOTER_SHORT && l->writable)
		return vhd_error_fault(error, VHD_FAULT_SHORT_FOOTER);
	return 0;
}

static int open_footer(struct vhd_layer *l, struct vhd_error *error)
{
	struct footer_pair *p;
	u32 end_bytes;
	int ret;

	if (l->f.size < VHD_SECTOR_SIZE - 1)
		return vhd_error_fault(error, VHD_FAULT_TOO_SMALL);
	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return vhd_error_errno(error, -ENOMEM, NULL);
	ret = read_footers(l, p, &end_bytes);
	if (ret)
		vhd_error_errno(error, ret, "cannot read the footer");
	else
		ret = choose_footer(l, p, end_bytes, error);
	kfree(p);
	return ret;
}

static int read_header(struct vhd_layer *l, struct vhd_error *error)
{
	u64 pos = be64_to_cpu(l->footer.data_offset);
	int ret;

	if (vhd_footer_type(&l->footer) == VHD_TYPE_FIXED)
		return 0;
	/* Before it is checked this is just a number out of the file. */
	if (pos % VHD_SECTOR_SIZE || pos > l->f.size)
		return vhd_error_fault(error, VHD_FAULT_FOOTER_DATA_OFFSET);
	l->header = kzalloc(sizeof(*l->header), GFP_KERNEL);
	if (!l->header)
		return vhd_error_errno(error, -ENOMEM, NULL);
	ret = read_zeroed(l, pos, l->header, sizeof(*l->header));
	if (ret)
		return vhd_error_errno(error, ret, "cannot read the dynamic header");
	return 0;
}

/* Rounded down where the footer does not start a sector. */
static u64 end_sect(const struct vhd_layer *l)
{
	u64 bytes = l->f.size;

	return (l->place == VHD_FOOTER_END ? bytes - VHD_SECTOR_SIZE : bytes) >> VHD_SECTOR_SHIFT;
}

static int open_layout(struct vhd_layer *l, const struct vhd_open_args *args,
		       struct vhd_error *error)
{
	enum vhd_fault fault;
	int ret;

	ret = read_header(l, error);
	if (ret)
		return ret;
	fault = vhd_layout_init(&l->layout, &l->footer, l->header, end_sect(l), args->size_rule);
	if (fault)
		return vhd_error_fault(error, fault);
	/* Who writes must know of every block in the file, shown or not. */
	l->nr_bat = l->writable ? l->layout.max_entries : l->layout.entries;
	if (l->layout.type != VHD_TYPE_FIXED && l->nr_bat > VHD_MAX_BLOCKS)
		return vhd_error_fault(error, VHD_FAULT_TOO_MANY_BLOCKS);
	return 0;
}

/* A header alone may be left over from before QEMU put blocks on the map. */
static int check_batmap(struct vhd_layer *l, const struct vhd_batmap *b)
{
	size_t len = vhd_batmap_map_bytes(&l->layout);
	void *map = kvmalloc(round_up(len, PAGE_SIZE), GFP_KERNEL);
	int ret;

	if (!map)
		return -ENOMEM;
	ret = read_zeroed(l, be64_to_cpu(b->offset), map, len);
	if (!ret && vhd_batmap_map_checksum(map, len) == be32_to_cpu(b->checksum)) {
		l->batmap = true;
		vhd_layout_set_batmap(&l->layout, b);
	}
	kvfree(map);
	return ret;
}

/* libvhd puts the batmap's header into the sector behind the padded BAT. */
static int find_batmap(struct vhd_layer *l)
{
	u64 sect = l->layout.bat_sect + l->layout.bat_sects;
	struct vhd_batmap *b = kzalloc(sizeof(*b), GFP_KERNEL);
	int ret;

	if (!b)
		return -ENOMEM;
	ret = read_zeroed(l, sect << VHD_SECTOR_SHIFT, b, sizeof(*b));
	if (!ret && vhd_batmap_check(b, &l->layout, l->f.size))
		ret = check_batmap(l, b);
	kfree(b);
	return ret;
}

/**
 * vhd_layer_entry() - BAT entry of a block, host-endian
 * @l: a dynamic or differencing layer
 * @block: any; behind the BAT there is nothing
 *
 * Return: the entry, VHD_BAT_UNUSED, or VHD_BAT_BAD.
 */
u32 vhd_layer_entry(const struct vhd_layer *l, u32 block)
{
	const u32 *page;

	if (block >= l->nr_bat)
		return VHD_BAT_UNUSED;
	page = READ_ONCE(l->bat[block >> VHD_BAT_PAGE_SHIFT]);
	return page ? READ_ONCE(page[block & (VHD_BAT_PAGE_ENTRIES - 1)]) : VHD_BAT_UNUSED;
}

/**
 * vhd_layer_reserve_entry() - get the memory for an entry before it is needed
 * @l: the leaf
 * @block: below layout.entries
 *
 * Context: sleeps; several threads at once.
 * Return: 0 or -ENOMEM.
 */
int vhd_layer_reserve_entry(struct vhd_layer *l, u32 block)
{
	u32 **slot = &l->bat[block >> VHD_BAT_PAGE_SHIFT], *page;

	if (READ_ONCE(*slot))
		return 0;
	page = kmalloc(PAGE_SIZE, GFP_KERNEL);
	if (!page)
		return -ENOMEM;
	memset(page, 0xff, PAGE_SIZE);
	if (cmpxchg(slot, NULL, page))
		kfree(page);
	return 0;
}

/**
 * vhd_layer_set_entry() - remember what the BAT on disk now says
 * @l: the leaf
 * @block: below layout.entries
 * @entry: new entry
 *
 * Context: the committing thread, or nobody else knows the layer yet.
 * Return: 0, or -ENOMEM if no memory was reserved before.
 */
int vhd_layer_set_entry(struct vhd_layer *l, u32 block, u32 entry)
{
	int ret = vhd_layer_reserve_entry(l, block);

	if (!ret)
		WRITE_ONCE(l->bat[block >> VHD_BAT_PAGE_SHIFT][block & (VHD_BAT_PAGE_ENTRIES - 1)],
			   entry);
	return ret;
}

/**
 * vhd_layer_used_end() - first sector behind all structures and blocks
 * @l: an open layer
 */
u64 vhd_layer_used_end(const struct vhd_layer *l)
{
	u32 pages = DIV_ROUND_UP(l->nr_bat, VHD_BAT_PAGE_ENTRIES), i, nr;
	u64 end = l->layout.meta_end;

	for (i = 0; l->bat && i < pages; i++) {
		nr = min(l->nr_bat - (i << VHD_BAT_PAGE_SHIFT), VHD_BAT_PAGE_ENTRIES);
		if (l->bat[i])
			end = max(end, vhd_bat_used_end(&l->layout, l->bat[i], nr));
	}
	return end;
}

struct bat_scan {
	__be32 *chunk;
	u32 *used;	/* every good entry, for the overlap check */
	u32 nr;
	u32 room;
	enum vhd_fault fault;
};

static int scan_remember(struct bat_scan *s, u32 entry)
{
	u32 room, *used;

	if (s->nr == s->room) {
		room = max_t(u32, 1024, s->room * 2);
		used = kvmalloc_array(room, sizeof(*used), GFP_KERNEL);
		if (!used)
			return -ENOMEM;
		if (s->nr)
			memcpy(used, s->used, s->nr * sizeof(*used));
		kvfree(s->used);
		s->used = used;
		s->room = room;
	}
	s->used[s->nr++] = entry;
	return 0;
}

/*
 * An entry behind the end of the disk: the size rule may hide blocks that other
 * programs see. They keep their place; what is no block there is nothing, and
 * what shares a place with a block of the disk is no business of ours.
 */
static int scan_surplus(struct vhd_layer *l, u32 block, u32 entry)
{
	enum vhd_fault fault = vhd_bat_entry_check(&l->layout, entry);

	if (fault && fault != VHD_FAULT_BLOCK_CUT)
		return 0;
	return vhd_layer_set_entry(l, block, entry);
}

static int scan_entry(struct vhd_layer *l, struct bat_scan *s, u32 block, u32 entry)
{
	enum vhd_fault fault = vhd_bat_entry_check(&l->layout, entry);
	int ret;

	if (block >= l->layout.entries)
		return scan_surplus(l, block, entry);
	if (fault && fault != VHD_FAULT_BLOCK_CUT) {
		s->fault = s->fault ?: fault;
		l->bad_entries++;
		return vhd_layer_set_entry(l, block, VHD_BAT_BAD);
	}
	if (fault)
		l->cut_block = block;
	/* Moving the footer out of the way would show it as data for a moment. */
	if (fault && l->place == VHD_FOOTER_END)
		s->fault = s->fault ?: fault;
	l->allocated++;
	l->misaligned += !!(vhd_bat_data_sect(&l->layout, entry) % 8);
	ret = scan_remember(s, entry);
	return ret ?: vhd_layer_set_entry(l, block, entry);
}

/*
 * A table that is one big hole is cheap in the file; so it must be here. A page
 * full of bad entries is the same for everybody.
 */
static u32 all_bad[VHD_BAT_PAGE_ENTRIES] = {
	[0 ... VHD_BAT_PAGE_ENTRIES - 1] = VHD_BAT_BAD
};

static void share_bad_page(struct vhd_layer *l, u32 first)
{
	u32 **page = &l->bat[first >> VHD_BAT_PAGE_SHIFT];

	if (!*page || memcmp(*page, all_bad, sizeof(all_bad)))
		return;
	kfree(*page);
	*page = all_bad;
}

static int scan_chunk(struct vhd_layer *l, struct bat_scan *s, u32 first, u32 nr)
{
	u32 i, entry;
	int ret;

	for (i = 0; i < nr; i++) {
		entry = be32_to_cpu(s->chunk[i]);
		if (entry == VHD_BAT_UNUSED)
			continue;
		ret = scan_entry(l, s, first + i, entry);
		if (ret)
			return ret;
	}
	return 0;
}

static int scan_bat(struct vhd_layer *l, struct bat_scan *s)
{
	u64 pos = l->layout.bat_sect << VHD_SECTOR_SHIFT;
	u32 first, nr;
	int ret;

	for (first = 0; first < l->nr_bat; first += nr) {
		nr = min_t(u32, l->nr_bat - first, BAT_CHUNK / sizeof(__be32));
		memset(s->chunk, 0xff, BAT_CHUNK);
		ret = vhd_io_read(&l->f, pos + first * sizeof(__be32), s->chunk,
				  round_up(nr * sizeof(__be32), VHD_SECTOR_SIZE));
		if (ret < 0)
			return ret;
		ret = scan_chunk(l, s, first, nr);
		if (ret)
			return ret;
		share_bad_page(l, first);
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

/* Keep of the sorted entries those that share sectors with a neighbour. */
static u32 keep_overlapping(u32 *used, u32 nr, u32 span)
{
	u32 i, kept = 0, prev = 0;
	bool before, behind;

	for (i = 0; i < nr; i++) {
		before = i && used[i] - prev < span;
		behind = i + 1 < nr && used[i + 1] - used[i] < span;
		prev = used[i];
		if (before || behind)
			used[kept++] = used[i];
	}
	return kept;
}

/* All users of shared sectors are at fault: whichever is read may tell lies. */
static enum vhd_fault check_overlap(struct vhd_layer *l, struct bat_scan *s)
{
	u32 block, entry, nr;

	if (!s->nr)
		return VHD_OK;
	sort(s->used, s->nr, sizeof(u32), compare_u32, NULL);
	nr = keep_overlapping(s->used, s->nr, l->layout.bitmap_sects + l->layout.block_sects);
	for (block = 0; nr && block < l->nr_bat; block++) {
		if (!(block & (VHD_BAT_PAGE_ENTRIES - 1)))
			cond_resched();
		entry = vhd_layer_entry(l, block);
		if (entry == VHD_BAT_UNUSED || entry == VHD_BAT_BAD ||
		    !bsearch(&entry, s->used, nr, sizeof(u32), compare_u32))
			continue;
		vhd_layer_set_entry(l, block, VHD_BAT_BAD);
		l->allocated -= block < l->layout.entries;
		l->bad_entries++;
	}
	return nr ? VHD_FAULT_BAT_OVERLAP : VHD_OK;
}

static int open_bat(struct vhd_layer *l, struct vhd_error *error)
{
	u32 pages = DIV_ROUND_UP(l->nr_bat, VHD_BAT_PAGE_ENTRIES);
	struct bat_scan s = {};
	enum vhd_fault fault;
	int ret = -ENOMEM;

	l->bat = kvcalloc(max(pages, 1u), sizeof(*l->bat), GFP_KERNEL);
	s.chunk = kmalloc(BAT_CHUNK, GFP_KERNEL);
	if (l->bat && s.chunk)
		ret = scan_bat(l, &s);
	if (ret) {
		vhd_error_errno(error, ret, "cannot read the block allocation table");
	} else {
		fault = check_overlap(l, &s);
		fault = s.fault ?: fault;
		if (fault && l->writable)
			ret = vhd_error_fault(error, fault);
	}
	kvfree(s.used);
	kfree(s.chunk);
	return ret;
}

static int open_raw(struct vhd_layer *l)
{
	l->layout.type = VHD_TYPE_FIXED;
	l->layout.capacity = l->f.size >> VHD_SECTOR_SHIFT;
	l->layout.end = l->layout.capacity;
	return 0;
}

static int open_vhd(struct vhd_layer *l, const struct vhd_open_args *args,
		    struct vhd_error *error)
{
	int ret = open_footer(l, error);

	if (!ret)
		ret = open_layout(l, args, error);
	if (ret || l->layout.type == VHD_TYPE_FIXED)
		return ret;
	ret = find_batmap(l);
	if (ret)
		return vhd_error_errno(error, ret, "cannot read the batmap");
	return open_bat(l, error);
}

static int open_file(struct vhd_layer *l, const struct vhd_layer_spec *spec,
		     const struct vhd_open_args *args, struct vhd_error *error)
{
	int ret = vhd_file_open(&l->f, spec->file, args->write, args->buffered);

	if (ret == -EOPNOTSUPP)
		return vhd_error_errno(error, ret, "neither a regular file nor a block device");
	if (ret == -EBADF)
		return vhd_error_errno(error, ret, "the descriptor has the wrong access mode");
	if (ret)
		return vhd_error_errno(error, ret, "cannot open the file");
	ret = vhd_registry_level(&l->f);
	if (ret < 0)
		return vhd_error_errno(error, ret, "lies on a disk of this driver");
	l->claim = vhd_claim_get(&l->f, args->write);
	if (!IS_ERR(l->claim))
		return 0;
	ret = PTR_ERR(l->claim);
	l->claim = NULL;
	return vhd_error_errno(error, ret, ret == -ETXTBSY ? "open for writing elsewhere" :
			       "in use by another device");
}

/**
 * vhd_layer_open() - open and check one file of a chain
 * @l: zeroed but for @l->id
 * @spec: the file
 * @args: how; @args->write is about this layer
 * @error: says why on failure
 *
 * Context: sleeps.
 * Return: 0 or the errno that is also in @error. On failure nothing is held.
 */
int vhd_layer_open(struct vhd_layer *l, const struct vhd_layer_spec *spec,
		   const struct vhd_open_args *args, struct vhd_error *error)
{
	int ret;

	l->raw = spec->raw;
	l->writable = args->write;
	l->cut_block = ~0u;
	ret = open_file(l, spec, args, error);
	if (!ret)
		ret = l->raw ? open_raw(l) : open_vhd(l, args, error);
	if (ret)
		vhd_layer_close(l);
	return ret;
}

/**
 * vhd_layer_all_bad() - is no entry of a page of the BAT any good?
 * @l: an open layer with blocks
 * @page: below DIV_ROUND_UP(nr_bat, VHD_BAT_PAGE_ENTRIES)
 */
bool vhd_layer_all_bad(const struct vhd_layer *l, u32 page)
{
	return l->bat[page] == all_bad;
}

/**
 * vhd_layer_close() - drop a layer
 * @l: opened, partly opened, or zeroed
 *
 * Context: sleeps; no locks held.
 */
void vhd_layer_close(struct vhd_layer *l)
{
	u32 i, pages = DIV_ROUND_UP(l->nr_bat, VHD_BAT_PAGE_ENTRIES);

	for (i = 0; l->bat && i < pages; i++)
		if (l->bat[i] != all_bad)
			kfree(l->bat[i]);
	kvfree(l->bat);
	l->bat = NULL;
	kfree(l->header);
	l->header = NULL;
	if (l->claim)
		vhd_claim_put(l->claim, l->writable);
	l->claim = NULL;
	vhd_file_close(&l->f);
}

/**
 * vhd_layer_memory() - bytes that a layer's BAT occupies
 * @l: an open layer
 */
u64 vhd_layer_memory(const struct vhd_layer *l)
{
	u32 i, pages = DIV_ROUND_UP(l->nr_bat, VHD_BAT_PAGE_ENTRIES);
	u64 sum = sizeof(*l) + pages * sizeof(*l->bat);

	for (i = 0; l->bat && i < pages; i++)
		sum += l->bat[i] && l->bat[i] != all_bad ? PAGE_SIZE : 0;
	return sum;
}
