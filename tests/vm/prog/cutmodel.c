// SPDX-License-Identifier: GPL-2.0
/*
 * See cutmodel.h. Each thread numbers its requests 1, 2, 3...; what number k does
 * follows from k, so that nothing has to be remembered across a power cut. A sector
 * is written by one thread only, but threads share blocks, and pages of bitmaps.
 */
#include <stdio.h>
#include <string.h>

#include "cutmodel.h"

#define MAGIC "vhdblk power cut"
/* A unit is a page; threads take turns. */
#define UNIT_SECTS 8u
#define UNITS (CUT_BLOCK_SECTS / UNIT_SECTS)
/* Each fourth block belongs to one thread alone: it can be freed. */
#define OWN_EVERY 4u
#define HOT_FOR 32u
/* One request in four goes where the one so many numbers ago went. */
#define LIKE_AGO 20u
/* Where whole blocks are written, one request in that many is a flush. */
#define LINE_FLUSH 3u

struct stamp {
	char magic[16];
	u64 disk;
	u64 sector;
	u64 number;
};

/**
 * cut_hash() - numbers that look random
 * @z:	any number
 *
 * Return: always the same for the same @z.
 */
u64 cut_hash(u64 z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static u64 draw(enum cut_disk disk, unsigned int who, u64 number, unsigned int what)
{
	u64 z = number * 64 + what * 4 + who;

	return cut_hash(cut_hash(z + disk * 0x9e3779b97f4a7c15ULL) + z);
}

static bool is_own(u64 block)
{
	return block % OWN_EVERY == OWN_EVERY - 1;
}

/**
 * cut_owner() - the thread that writes a sector
 * @disk:	which
 * @sector:	of it
 *
 * Return: its number.
 */
unsigned int cut_owner(enum cut_disk disk, u64 sector)
{
	u64 block = sector / CUT_BLOCK_SECTS;

	if (disk == CUT_LINE)
		return 0;
	if (is_own(block))
		return block / OWN_EVERY % CUT_THREADS;
	return sector / UNIT_SECTS % CUT_THREADS;
}

static enum cut_kind random_kind(u64 r)
{
	if (r % 64 < 40)
		return CUT_WRITE;
	if (r % 64 < 48)
		return CUT_FUA;
	if (r % 64 < 54)
		return CUT_FLUSH;
	return r % 64 < 60 ? CUT_DISCARD : CUT_ZERO;
}

/* A part of a block that the thread has for itself, or all of it. */
static void place_in_own(struct cut_op *op, unsigned int thread, u64 pick, u64 r)
{
	u64 pairs = CUT_BLOCKS / (OWN_EVERY * CUT_THREADS);

	op->first = ((pick % pairs * CUT_THREADS + thread) * OWN_EVERY + OWN_EVERY - 1) *
		    CUT_BLOCK_SECTS;
	op->nr = CUT_BLOCK_SECTS;
	if (op->kind <= CUT_FUA || r & 1) {
		op->first += (r >> 8) % CUT_BLOCK_SECTS;
		op->nr = 1 + (r >> 16) % (CUT_BLOCK_SECTS - op->first % CUT_BLOCK_SECTS);
	}
}

static void place_in_shared(struct cut_op *op, unsigned int thread, u64 pick, u64 r)
{
	u64 block = pick % CUT_BLOCKS, unit = r % (UNITS / CUT_THREADS), at = 0;

	if (is_own(block))
		block--;
	op->nr = UNIT_SECTS;
	if (r & 0x3000) {
		at = (r >> 16) % UNIT_SECTS;
		op->nr = 1 + (r >> 24) % (UNIT_SECTS - at);
	}
	op->first = block * CUT_BLOCK_SECTS +
		    (unit * CUT_THREADS + thread) * UNIT_SECTS + at;
}

static void line_op(unsigned int thread, u64 number, struct cut_op *op)
{
	/* One thread is enough there. */
	op->kind = thread || number % LINE_FLUSH == 0 ? CUT_FLUSH : CUT_WRITE;
	op->first = number % CUT_BLOCKS * CUT_BLOCK_SECTS;
	op->nr = CUT_BLOCK_SECTS;
}

/**
 * cut_op_get() - what a request does
 * @disk:	where
 * @thread:	who
 * @number:	of the request, from 1
 * @op:		filled
 *
 * Half of the requests of a while meet in one block of both threads, so that its
 * bitmap changes again and again.
 */
void cut_op_get(enum cut_disk disk, unsigned int thread, u64 number, struct cut_op *op)
{
	bool again = number > LIKE_AGO && draw(disk, thread, number, 7) % 4 == 0;
	u64 like = again ? number - LIKE_AGO : number, r, pick;

	if (disk == CUT_LINE) {
		line_op(thread, number, op);
		return;
	}
	pick = draw(disk, thread, like, 1);
	if (draw(disk, thread, like, 2) & 1)
		pick = draw(disk, 3, like / HOT_FOR, 3);
	op->kind = random_kind(draw(disk, thread, number, 4));
	/* What is written again is committed by now, if anything is: FUA is alone there. */
	if (again && op->kind == CUT_WRITE && draw(disk, thread, number, 8) & 1)
		op->kind = CUT_FUA;
	r = draw(disk, thread, like, 5);
	if (draw(disk, thread, like, 6) % 4 == 0 || op->kind == CUT_DISCARD)
		place_in_own(op, thread, pick, r);
	else
		place_in_shared(op, thread, pick, r);
}

static u64 first_word(enum cut_disk disk, u64 sector, u64 number)
{
	return cut_hash(sector ^ (number << 32) ^ ((u64)disk << 60));
}

/**
 * cut_fill() - what a request writes to a sector
 * @disk:	where
 * @sector:	of it
 * @number:	of the request; 0 for what was there at first
 * @buf:	a sector
 */
void cut_fill(enum cut_disk disk, u64 sector, u64 number, void *buf)
{
	struct stamp *s = buf;
	u64 word = first_word(disk, sector, number), *p = buf;
	size_t i;

	memcpy(s->magic, MAGIC, sizeof(s->magic));
	s->disk = disk;
	s->sector = sector;
	s->number = number;
	for (i = sizeof(*s) / sizeof(word); i < CUT_SECTOR / sizeof(word); i++)
		p[i] = word + i;
}

/**
 * cut_initial() - does a sector hold data before the first request?
 * @disk:	where
 * @sector:	of it
 *
 * Return: true if cut_fill() says which; false if zeros.
 */
bool cut_initial(enum cut_disk disk, u64 sector)
{
	return disk == CUT_CHILD && sector / CUT_BLOCK_SECTS % 2 == 0 &&
	       sector % CUT_BLOCK_SECTS < CUT_BLOCK_SECTS * 3 / 4;
}

static bool is_durable(const struct cut_known *known, unsigned int thread, u64 number)
{
	unsigned int i;

	if (number <= known->durable[thread] || number > known->begun[thread])
		return true;
	for (i = 0; i < known->nr_fua; i++)
		if (known->fua[i].thread == thread && known->fua[i].number == number)
			return true;
	return false;
}

/* After a discard a sector holds what it held, or zeros, until it is written. */
static void apply(struct cut_state *s, const struct cut_op *op, u64 number, bool durable)
{
	u64 i;

	for (i = op->first; i < op->first + op->nr; i++) {
		if (op->kind >= CUT_DISCARD)
			s->flags[i] |= CUT_MAY_BE_ZERO;
		if (!durable || op->kind == CUT_DISCARD)
			continue;
		s->least[i] = number;
		s->flags[i] = op->kind == CUT_ZERO ? CUT_IS_ZERO | CUT_MAY_BE_ZERO : 0;
	}
	for (i = op->first; i < op->first + op->nr; i += CUT_BLOCK_SECTS)
		s->touched[i / CUT_BLOCK_SECTS] = 1;
	s->touched[(op->first + op->nr - 1) / CUT_BLOCK_SECTS] = 1;
}

/**
 * cut_state_get() - what each sector may hold at a moment
 * @disk:	which
 * @known:	about the moment
 * @s:		filled
 */
void cut_state_get(enum cut_disk disk, const struct cut_known *known, struct cut_state *s)
{
	unsigned int t;
	struct cut_op op;
	u64 k;

	memset(s, 0, sizeof(*s));
	for (t = 0; t < CUT_THREADS; t++) {
		for (k = 1; k <= known->begun[t] + known->again; k++) {
			cut_op_get(disk, t, k, &op);
			if (op.kind != CUT_FLUSH)
				apply(s, &op, k, is_durable(known, t, k));
		}
	}
}

/* Word by word: what libc does for that is slow in an emulated machine. */
static bool is_zero(const void *sector)
{
	const u64 *p = sector;
	size_t i;

	for (i = 0; i < CUT_SECTOR / sizeof(*p); i++)
		if (p[i])
			return false;
	return true;
}

static bool is_filled(enum cut_disk disk, u64 sector, u64 number, const void *got)
{
	const struct stamp *s = got;
	u64 word = first_word(disk, sector, number);
	const u64 *p = got;
	size_t i;

	if (s->disk != disk || s->sector != sector || s->number != number)
		return false;
	for (i = sizeof(*s) / sizeof(word); i < CUT_SECTOR / sizeof(word); i++)
		if (p[i] != word + i)
			return false;
	return !memcmp(s->magic, MAGIC, sizeof(s->magic));
}

/* Did that request write this sector? */
static bool wrote(enum cut_disk disk, u64 sector, u64 number)
{
	struct cut_op op;

	cut_op_get(disk, cut_owner(disk, sector), number, &op);
	return op.kind <= CUT_FUA && sector >= op.first && sector - op.first < op.nr;
}

/**
 * cut_accepts() - may a sector hold this?
 * @disk:	which
 * @known:	about the moment of the cut
 * @s:		what follows from it
 * @sector:	of the disk
 * @got:	its contents
 *
 * Return: true for the last durable value and for each later one.
 */
bool cut_accepts(enum cut_disk disk, const struct cut_known *known,
		 const struct cut_state *s, u64 sector, const void *got)
{
	u64 number = ((const struct stamp *)got)->number, least = s->least[sector];
	u64 end = known->begun[cut_owner(disk, sector)] + known->again;

	if (is_zero(got))
		return s->flags[sector] || (!least && !cut_initial(disk, sector));
	if (number < least || number > end)
		return false;
	if (number ? !wrote(disk, sector, number) : !cut_initial(disk, sector))
		return false;
	return is_filled(disk, sector, number, got);
}

/**
 * cut_describe() - in words, for whoever looks for a bug
 * @got:	contents of a sector
 *
 * Return: text, until the next call.
 */
const char *cut_describe(const void *got)
{
	static char text[96];
	const struct stamp *s = got;

	if (is_zero(got))
		return "zeros";
	if (memcmp(s->magic, MAGIC, sizeof(s->magic)))
		return "garbage";
	snprintf(text, sizeof(text), "number %llu of sector %llu of disk %llu", s->number,
		 s->sector, s->disk);
	return text;
}
