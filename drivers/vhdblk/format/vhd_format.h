/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VHD on-disk format: structures, constants and the pure functions over them.
 *
 * Source: "Virtual Hard Disk Image Format Specification", version 1.0,
 * Microsoft, October 2006, called "the specification" below.
 *
 * Byte order: everything on disk is big-endian and stays __be* in memory; only
 * the UTF-16 text inside W2ru and W2ku parent locators is little-endian.
 * Units: "sector" is 512 bytes everywhere, "block" is the allocation unit of
 * one image (2 MiB as a rule), file positions are bytes unless named _sect.
 *
 * Deviations of real writers that the functions below allow for:
 *  - footer of 511 bytes at the end: Virtual PC before 2004;
 *  - no end footer, only the copy at 0: every tapdisk that crashed;
 *  - guest-visible size is C*H*S, not current_size: Virtual PC, QEMU < 10;
 *  - platform_data_space of a locator in bytes: Hyper-V, VirtualBox, libvhd
 *    (the specification says sectors);
 *  - all three locators relative, W2ku too: libvhd;
 *  - more BAT entries than the size needs: libvhd (room to grow), QEMU < 5.1;
 *  - BAT padded with zeros instead of ones: libvhd;
 *  - a batmap behind the BAT: libvhd, creator "tap\0";
 *  - reserved footer bytes in use: libvhd ("hidden" at 85), simh;
 *  - gaps between blocks, data 4 KiB-aligned: libvhd, simh;
 *  - clear bits of a dynamic image over stale data: tapdisk on LVM and NFS.
 *
 * Nothing in this directory does I/O, allocates, locks, logs or reads a clock.
 */
#ifndef _VHD_FORMAT_H
#define _VHD_FORMAT_H

#include <vhd_platform.h>

#define VHD_SECTOR_SHIFT	9
#define VHD_SECTOR_SIZE		512u
#define VHD_HEADER_SECTS	2u
#define VHD_FOOTER_COOKIE	"conectix"
#define VHD_HEADER_COOKIE	"cxsparse"
#define VHD_BATMAP_COOKIE	"tdbatmap"
/* What libvhd puts over the cookie while it resizes through a journal. */
#define VHD_POISON_COOKIE	"v_poison"
#define VHD_FORMAT_VERSION	0x00010000u
#define VHD_FEATURES_RESERVED	0x00000002u
#define VHD_NO_OFFSET		(~0ULL)
#define VHD_BAT_UNUSED		0xffffffffu
/* Largest sector number that a BAT entry and the space behind it may reach. */
#define VHD_MAX_SECTOR		0xffffffffULL
/* 1970-01-01 to 2000-01-01 in seconds: time stamps count from the latter. */
#define VHD_EPOCH		946684800LL
#define VHD_LOCATORS		8
#define VHD_NAME_UNITS		256
/* Longest text of a locator: 32767 UTF-16 units are Windows' longest path. */
#define VHD_LOCATOR_MAX		65536u
#define VHD_BLOCK_SIZE_MIN	4096u
#define VHD_BLOCK_SIZE_MAX	(256u << 20)
#define VHD_BLOCK_SIZE_DEFAULT	(2u << 20)
/* More blocks than this in one image are legal but refused: see vhd_map. */
#define VHD_MAX_BLOCKS		(4u << 20)
#define VHD_MAX_DEPTH		255u
#define VHD_MAX_DYNAMIC_SIZE	(2040ULL << 30)
/* The largest geometry a footer can hold; an image above it has no CHS size. */
#define VHD_MAX_CYLINDERS	65535u
#define VHD_MAX_HEADS		16u
#define VHD_MAX_SPT		255u

enum vhd_type {
	VHD_TYPE_FIXED		= 2,
	VHD_TYPE_DYNAMIC	= 3,
	VHD_TYPE_DIFFERENCING	= 4,
};

enum vhd_platform_code {
	VHD_PLATFORM_NONE	= 0,
	VHD_PLATFORM_WI2R	= 0x57693272,	/* deprecated, ANSI */
	VHD_PLATFORM_WI2K	= 0x5769326b,	/* deprecated, ANSI */
	VHD_PLATFORM_W2RU	= 0x57327275,	/* relative, UTF-16LE */
	VHD_PLATFORM_W2KU	= 0x57326b75,	/* absolute, UTF-16LE */
	VHD_PLATFORM_MAC	= 0x4d616320,	/* alias blob */
	VHD_PLATFORM_MACX	= 0x4d616358,	/* file URL, UTF-8 */
};

/* "Hard Disk Footer Format" of the specification. */
struct vhd_footer {
	char	cookie[8];
	__be32	features;
	__be32	version;
	__be64	data_offset;
	__be32	timestamp;
	char	creator_app[4];
	__be32	creator_version;
	char	creator_os[4];
	__be64	original_size;
	__be64	current_size;
	__be16	cylinders;
	u8	heads;
	u8	spt;
	__be32	type;
	__be32	checksum;
	u8	uuid[16];
	u8	saved_state;
	u8	reserved[427];
} __packed;

/* "Parent Locator Entries" of the specification. */
struct vhd_locator {
	__be32	code;
	__be32	data_space;
	__be32	data_length;
	__be32	reserved;
	__be64	data_offset;
} __packed;

/* "Dynamic Disk Header Format" of the specification. */
struct vhd_header {
	char	cookie[8];
	__be64	data_offset;
	__be64	table_offset;
	__be32	version;
	__be32	max_entries;
	__be32	block_size;
	__be32	checksum;
	u8	parent_uuid[16];
	__be32	parent_timestamp;
	__be32	reserved1;
	__be16	parent_name[VHD_NAME_UNITS];
	struct vhd_locator locator[VHD_LOCATORS];
	u8	reserved2[256];
} __packed;

/* libvhd's extension: the sector behind the padded BAT. Not in the specification. */
struct vhd_batmap {
	char	cookie[8];
	__be64	offset;
	__be32	sectors;
	__be32	version;
	__be32	checksum;
	u8	marker;
	u8	reserved[483];
} __packed;

static_assert(sizeof(struct vhd_footer) == 512);
static_assert(offsetof(struct vhd_footer, features) == 8);
static_assert(offsetof(struct vhd_footer, version) == 12);
static_assert(offsetof(struct vhd_footer, data_offset) == 16);
static_assert(offsetof(struct vhd_footer, timestamp) == 24);
static_assert(offsetof(struct vhd_footer, creator_version) == 32);
static_assert(offsetof(struct vhd_footer, original_size) == 40);
static_assert(offsetof(struct vhd_footer, current_size) == 48);
static_assert(offsetof(struct vhd_footer, cylinders) == 56);
static_assert(offsetof(struct vhd_footer, type) == 60);
static_assert(offsetof(struct vhd_footer, checksum) == 64);
static_assert(offsetof(struct vhd_footer, uuid) == 68);
static_assert(offsetof(struct vhd_footer, saved_state) == 84);
static_assert(sizeof(struct vhd_locator) == 24);
static_assert(sizeof(struct vhd_header) == 1024);
static_assert(offsetof(struct vhd_header, data_offset) == 8);
static_assert(offsetof(struct vhd_header, table_offset) == 16);
static_assert(offsetof(struct vhd_header, version) == 24);
static_assert(offsetof(struct vhd_header, max_entries) == 28);
static_assert(offsetof(struct vhd_header, block_size) == 32);
static_assert(offsetof(struct vhd_header, checksum) == 36);
static_assert(offsetof(struct vhd_header, parent_uuid) == 40);
static_assert(offsetof(struct vhd_header, parent_timestamp) == 56);
static_assert(offsetof(struct vhd_header, parent_name) == 64);
static_assert(offsetof(struct vhd_header, locator) == 576);
static_assert(sizeof(struct vhd_batmap) == 512);
static_assert(offsetof(struct vhd_batmap, checksum) == 24);

/*
 * enum vhd_fault - which check failed
 *
 * The same value, through vhd_fault_str(), is what dmesg, the netlink result
 * and "vhdctl check" say. Values are part of the netlink interface: add at the
 * end, never renumber.
 */
enum vhd_fault {
	VHD_OK = 0,
	/* Not a VHD: -EINVAL. */
	VHD_FAULT_NO_FOOTER,		/* no cookie at the end nor at 0 */
	VHD_FAULT_TOO_SMALL,		/* file cannot hold a footer */
	/* Corrupt: -EUCLEAN. */
	VHD_FAULT_FOOTER_CHECKSUM,
	VHD_FAULT_FOOTER_TYPE,
	VHD_FAULT_FOOTER_DATA_OFFSET,
	VHD_FAULT_FOOTER_SIZE,		/* size is 0, or beyond what the file holds */
	VHD_FAULT_HEADER_COOKIE,
	VHD_FAULT_HEADER_CHECKSUM,
	VHD_FAULT_HEADER_TABLE_OFFSET,
	VHD_FAULT_HEADER_ENTRIES,	/* fewer than the whole blocks of the size */
	VHD_FAULT_HEADER_BLOCK_SIZE,	/* not a power of two */
	VHD_FAULT_BAT_TRUNCATED,	/* table runs past the end of the file */
	VHD_FAULT_BAT_RANGE,		/* entry points outside the file or into metadata */
	VHD_FAULT_BAT_OVERLAP,		/* two entries share sectors */
	VHD_FAULT_BLOCK_CUT,		/* the last block runs into the footer or past EOF */
	VHD_FAULT_LOCATOR_CODE,
	VHD_FAULT_LOCATOR_RANGE,	/* locator data outside the file */
	VHD_FAULT_LOCATOR_OVERLAP,	/* locator data over other metadata */
	VHD_FAULT_LOCATOR_TEXT,		/* does not decode */
	VHD_FAULT_METADATA_OVERLAP,	/* header, BAT and footer share sectors */
	/* Legal but unsupported: -EOPNOTSUPP. */
	VHD_FAULT_POISON,		/* libvhd journal resize under way */
	VHD_FAULT_FOOTER_VERSION,
	VHD_FAULT_HEADER_VERSION,
	VHD_FAULT_BLOCK_SIZE_RANGE,	/* power of two outside 4 KiB..256 MiB */
	VHD_FAULT_TOO_MANY_BLOCKS,
	VHD_FAULT_TOO_LARGE,
	VHD_FAULT_SHORT_FOOTER,		/* 511 bytes: read-only until repaired */
	VHD_FAULT_TOO_DEEP,
	/* Links of a chain. */
	VHD_FAULT_NO_PARENT,		/* differencing, and no parent was given: -ENOENT */
	VHD_FAULT_NOT_DIFFERENCING,	/* a parent was given to an image that has none */
	VHD_FAULT_PARENT_ID,		/* -EXDEV */
	VHD_FAULT_RAW_PARENT,		/* zero parent id, parent not named as raw */
	VHD_FAULT_CYCLE,		/* -ELOOP */
	/* Found by check only; each is mended by the next read-write attach. */
	VHD_FAULT_FOOTER_END_MISSING,
	VHD_FAULT_FOOTER_COPY,		/* copy at 0 bad, missing or different */
	VHD_NR_FAULTS
};

/**
 * enum vhd_severity - what a fault forbids
 * @VHD_SEV_NONE:	nothing
 * @VHD_SEV_NOTE:	nothing, but worth saying
 * @VHD_SEV_REPAIRABLE:	reading goes on; a writer mends it first or refuses
 * @VHD_SEV_BLOCK:	writing; reading goes on, without the block in question
 * @VHD_SEV_FATAL:	everything
 */
enum vhd_severity { VHD_SEV_NONE, VHD_SEV_NOTE, VHD_SEV_REPAIRABLE, VHD_SEV_BLOCK, VHD_SEV_FATAL };

const char *vhd_fault_str(enum vhd_fault fault);
const char *vhd_fault_name(enum vhd_fault fault);
int vhd_fault_errno(enum vhd_fault fault);
enum vhd_severity vhd_fault_severity(enum vhd_fault fault);

/* footer.c */

enum vhd_size_rule { VHD_SIZE_AUTO, VHD_SIZE_CHS, VHD_SIZE_CURRENT };

/* Where the footer that we trust was found. */
enum vhd_footer_place { VHD_FOOTER_END, VHD_FOOTER_SHORT, VHD_FOOTER_COPY };

/**
 * struct vhd_footer_choice - outcome of comparing the end footer with the copy
 * @place:	which one to trust
 * @differ:	both are valid and differ, or one of a dynamic pair is bad: a
 *		read-write attach rewrites the other
 */
struct vhd_footer_choice {
	enum vhd_footer_place place;
	bool differ;
};

enum vhd_fault vhd_footer_check(const struct vhd_footer *f);
void vhd_footer_seal(struct vhd_footer *f);
u32 vhd_checksum(const void *buf, size_t len, size_t checksum_offset);
enum vhd_type vhd_footer_type(const struct vhd_footer *f);
enum vhd_fault vhd_footer_choose(const struct vhd_footer *end,
				 const struct vhd_footer *copy, u32 end_bytes,
				 struct vhd_footer_choice *choice);
u64 vhd_footer_size(const struct vhd_footer *f, enum vhd_size_rule rule);
bool vhd_footer_size_is_chs(const struct vhd_footer *f, enum vhd_size_rule rule);

/**
 * struct vhd_footer_args - what a new footer says
 * @type:	&enum vhd_type
 * @size:	virtual size in bytes
 * @uuid:	unique id in its byte order on disk
 * @timestamp:	seconds since 2000-01-01 UTC
 */
struct vhd_footer_args {
	enum vhd_type type;
	u64 size;
	const u8 *uuid;
	u32 timestamp;
};

void vhd_footer_init(struct vhd_footer *f, const struct vhd_footer_args *args);

/* geometry.c */

struct vhd_geometry {
	u16 cylinders;
	u8 heads;
	u8 spt;
};

struct vhd_geometry vhd_geometry_of(u64 sectors);

/* Sectors that one structure takes; none if @sects is 0. */
struct vhd_extent {
	u64 sect;
	u32 sects;
};

/**
 * struct vhd_layout - where everything of one image lies; all in sectors
 * @type:	&enum vhd_type
 * @capacity:	virtual size
 * @end:	first sector that no structure and no block may touch: the end
 *		footer's, or EOF rounded down where there is none
 * @header_sect: dynamic header
 * @bat_sect:	BAT
 * @bat_sects:	its length
 * @entries:	BAT entries that count: what @capacity needs
 * @max_entries: BAT entries that the header claims
 * @block_sects: data sectors of a block, a power of two
 * @block_shift: log2 of @block_sects
 * @bitmap_sects: sectors of a sector bitmap, before the data
 * @batmap_sect: header of a batmap, its map follows
 * @batmap_sects: length of both, 0 if there is none
 * @locator:	text of the parent locators that lie inside the file
 * @meta_end:	first sector behind header, BAT, batmap and space of the locators
 *
 * Filled by vhd_layout_init(), and for a batmap by vhd_layout_set_batmap(). A
 * fixed image has only @type, @capacity, @end.
 */
struct vhd_layout {
	enum vhd_type type;
	u64 capacity;
	u64 end;
	u64 header_sect;
	u64 bat_sect;
	u32 bat_sects;
	u32 entries;
	u32 max_entries;
	u32 block_sects;
	u32 block_shift;
	u32 bitmap_sects;
	u64 batmap_sect;
	u32 batmap_sects;
	struct vhd_extent locator[VHD_LOCATORS];
	u64 meta_end;
};

u32 vhd_bitmap_sects(u32 block_size);
u32 vhd_blocks_needed(u64 capacity_sects, u32 block_shift);
enum vhd_fault vhd_layout_init(struct vhd_layout *l, const struct vhd_footer *f,
			       const struct vhd_header *h, u64 end_sect,
			       enum vhd_size_rule rule);
void vhd_layout_set_batmap(struct vhd_layout *l, const struct vhd_batmap *b);
bool vhd_layout_hits_metadata(const struct vhd_layout *l, u64 sect, u64 nr);
u64 vhd_max_size(u32 block_size);
u64 vhd_slot_stride(const struct vhd_layout *l);
u64 vhd_slot_align(const struct vhd_layout *l, u64 sect);
u64 vhd_layout_end_aligned(u64 used_end_sect);

/* header.c */

struct vhd_header_args {
	u32 block_size;
	u32 entries;
	u64 table_offset;
	const u8 *parent_uuid;		/* NULL for a dynamic image */
	u32 parent_timestamp;
};

enum vhd_fault vhd_header_check(const struct vhd_header *h);
void vhd_header_seal(struct vhd_header *h);
void vhd_header_init(struct vhd_header *h, const struct vhd_header_args *args);
void vhd_header_set_name(struct vhd_header *h, const u16 *name, size_t units);
size_t vhd_header_name(const struct vhd_header *h, u16 *name);

/**
 * struct vhd_create_layout - where the parts of a new image go; bytes
 * @header:	dynamic header
 * @locator:	text of each parent locator, 0 where the slot stays empty
 * @bat:	BAT
 * @bat_bytes:	its length with padding
 * @footer:	footer at the end
 * @file_size:	EOF
 *
 * Footer copy, header, locators, BAT on a 4 KiB boundary and padded to one,
 * then nothing; the end footer makes the file a multiple of 4 KiB.
 */
struct vhd_create_layout {
	u64 header;
	u64 locator[VHD_LOCATORS];
	u64 bat;
	u64 bat_bytes;
	u64 footer;
	u64 file_size;
};

void vhd_create_layout(struct vhd_create_layout *c, u32 entries,
		       const u32 *locator_bytes, unsigned int nr_locators);

/* locator.c */

struct vhd_locator_ref {
	enum vhd_platform_code code;
	u64 offset;			/* bytes */
	u32 length;			/* bytes of text */
	u32 space;			/* bytes reserved for it */
};

enum vhd_fault vhd_locator_get(const struct vhd_header *h, unsigned int slot,
			       u64 file_size, struct vhd_locator_ref *ref);
void vhd_locator_set(struct vhd_header *h, unsigned int slot,
		     const struct vhd_locator_ref *ref);
enum vhd_fault vhd_locator_check(const struct vhd_header *h,
				 const struct vhd_layout *l, u64 file_size);
enum vhd_fault vhd_locator_decode(enum vhd_platform_code code, const void *data,
				  size_t len, char *path, size_t size);
size_t vhd_locator_encode(enum vhd_platform_code code, const char *path,
			  void *data, size_t size);
size_t vhd_utf16_to_utf8(const u16 *src, size_t units, char *dst, size_t size);
size_t vhd_utf8_to_utf16(const char *src, u16 *dst, size_t units);

/* link.c */

enum vhd_fault vhd_link_check(const struct vhd_footer *child,
			      const struct vhd_header *child_header,
			      const struct vhd_footer *parent);
bool vhd_link_is_raw(const struct vhd_footer *child,
		     const struct vhd_header *child_header);
bool vhd_link_time_differs(const struct vhd_header *child_header, u32 parent_mtime);

/* bat.c */

enum vhd_fault vhd_bat_entry_check(const struct vhd_layout *l, u32 entry);
u32 vhd_bat_entry_sects(const struct vhd_layout *l, u32 entry);
u64 vhd_bat_data_sect(const struct vhd_layout *l, u32 entry);
enum vhd_fault vhd_bat_overlap(const struct vhd_layout *l, const u32 *sorted,
			       u32 nr, u32 *at);
u64 vhd_bat_used_end(const struct vhd_layout *l, const u32 *entries, u32 nr);
bool vhd_batmap_check(const struct vhd_batmap *b, const struct vhd_layout *l, u64 file_size);
size_t vhd_batmap_map_bytes(const struct vhd_layout *l);
u32 vhd_batmap_map_checksum(const void *map, size_t len);

/* bitmap.c: bit 0 is the most significant bit of byte 0 */

bool vhd_bitmap_test(const u8 *bitmap, u32 sector);
void vhd_bitmap_set(u8 *bitmap, u32 first, u32 nr);
void vhd_bitmap_clear(u8 *bitmap, u32 first, u32 nr);
u32 vhd_bitmap_run(const u8 *bitmap, u32 first, u32 end, bool *set);
bool vhd_bitmap_all_set(const u8 *bitmap, u32 first, u32 nr);

/* map.c */

enum vhd_answer { VHD_DATA, VHD_HOLE, VHD_ZERO, VHD_NEED_BITMAP, VHD_BAD };

/**
 * struct vhd_run - one stretch of virtual sectors with one answer
 * @answer:	DATA: @file_sect holds it. HOLE: this layer says nothing, ask the
 *		parent. ZERO: reads as zeros whatever the parent says.
 *		NEED_BITMAP: @file_sect is where the block's sector bitmap lies;
 *		call again with it. BAD: the BAT entry is faulty.
 * @sects:	length, at least 1
 * @file_sect:	see @answer
 * @block:	block number, of dynamic and differencing images
 */
struct vhd_run {
	enum vhd_answer answer;
	u32 block;
	u64 sects;
	u64 file_sect;
};

u32 vhd_bitmap_span(const struct vhd_layout *l, u64 sector, u64 nr, u32 *first);
void vhd_map_step(const struct vhd_layout *l, u64 sector, u64 nr, u32 entry,
		  const u8 *bitmap, struct vhd_run *run);

/* plan.c */

enum vhd_step_kind {
	VHD_STEP_BITMAP,	/* write @nr bitmap sectors of change[@first] at @sect */
	VHD_STEP_BAT,		/* write BAT sector at @sect with change[@first..+@nr) in it */
	VHD_STEP_FOOTER,	/* write the footer at @sect */
	VHD_STEP_FOOTER_COPY,	/* write the footer at 0 */
	VHD_STEP_ZERO,		/* write @nr zero sectors at @sect */
	VHD_STEP_RESERVE,	/* ask for @nr sectors of space at @sect; EOF stays */
	VHD_STEP_TRUNCATE,	/* make EOF @sect sectors */
	VHD_STEP_BARRIER,	/* everything before is durable before anything behind */
	VHD_STEP_COPY,		/* of vhd_shift_next() alone: copy @nr sectors to @sect */
	VHD_STEP_NEW,		/* write @nr sectors at @sect that nothing shows yet */
	VHD_STEP_HEADER,	/* write the first @nr sectors of the new header at @sect */
};

struct vhd_step {
	enum vhd_step_kind kind;
	u32 first;
	u32 nr;
	u64 sect;
};

/**
 * struct vhd_change - what one commit does to one block
 * @block:	block number; changes are sorted by it, each block once
 * @entry:	its BAT entry after the commit
 * @flags:	VHD_CHANGE_*
 * @bitmap_first: first bitmap sector to write, counted from the block's first
 * @bitmap_nr:	how many to write
 *
 * NEW means that no durable BAT entry points at @entry yet: the bitmap goes out
 * before the barrier and the entry behind it.
 */
struct vhd_change {
	u32 block;
	u32 entry;
	u32 flags;
	u32 bitmap_first;
	u32 bitmap_nr;
};

#define VHD_CHANGE_BAT		1u
#define VHD_CHANGE_BITMAP	2u
#define VHD_CHANGE_NEW		4u

enum vhd_plan_kind {
	VHD_PLAN_COMMIT, VHD_PLAN_EXTEND, VHD_PLAN_TRIM, VHD_PLAN_FOOTERS, VHD_PLAN_MOVE
};

/* A plan is an iterator: init with one of the functions below, then step. */
struct vhd_plan {
	enum vhd_plan_kind kind;
	const struct vhd_layout *layout;
	const struct vhd_change *change;
	u32 nr;
	u32 phase;
	u32 pos;
	u64 old_end;		/* sectors: EOF */
	u64 new_end;
	bool end_footer, copy_footer;
};

void vhd_plan_commit(struct vhd_plan *p, const struct vhd_layout *l,
		     const struct vhd_change *change, u32 nr);
void vhd_plan_extend(struct vhd_plan *p, u64 old_end_sect, u64 new_end_sect);
void vhd_plan_trim(struct vhd_plan *p, u64 old_end_sect, u64 new_end_sect);
void vhd_plan_footers(struct vhd_plan *p, u64 end_sect, bool end, bool copy);
void vhd_plan_move_footer(struct vhd_plan *p, u64 old_end_sect, u64 new_end_sect);
bool vhd_plan_next(struct vhd_plan *p, struct vhd_step *step);

/* shift.c */

/**
 * struct vhd_move - what happens to one block
 * @block:	its number
 * @from:	its BAT entry
 * @to:		its entry afterwards, VHD_BAT_UNUSED if it is dropped
 */
struct vhd_move {
	u32 block;
	u32 from;
	u32 to;
};

/* A plan like &struct vhd_plan, for the offline commands. */
struct vhd_shift {
	const struct vhd_layout *layout;
	const struct vhd_move *move;
	u32 nr;
	u32 phase;
	u32 pos;
};

void vhd_shift_init(struct vhd_shift *p, const struct vhd_layout *l,
		    const struct vhd_move *move, u32 nr);
bool vhd_shift_next(struct vhd_shift *p, struct vhd_step *step);

#endif /* _VHD_FORMAT_H */
