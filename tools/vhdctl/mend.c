// SPDX-License-Identifier: GPL-2.0
/*
 * vhdctl check --repair: one part after the other, each by writes of which every state
 * in between is no worse than before. After each the image is looked at again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mend.h"

/* Footers take two rounds: a missing one first, then one that lies on a block. */
#define ROUNDS	2u

static bool reseal_wanted(struct mend *m)
{
	m->reseal = m->img->fault ? reseal_find(m->img, m->o) : RESEAL_NONE;
	return m->reseal;
}

static bool footers_wanted(struct mend *m)
{
	return repair_wanted(m->f, m->img);
}

static int footers_mend(struct mend *m)
{
	return repair_footers(m->img, m->f);
}

static bool locators_wanted(struct mend *m)
{
	return header_wanted(m->img, m->f);
}

static bool padding_wanted(struct mend *m)
{
	return m->f->nr_of[SIGN_BAT_PADDING];
}

static bool batmap_wanted(struct mend *m)
{
	return m->f->nr_of[SIGN_BATMAP] && batmap_can_be_mended(m->img);
}

static int batmap_run(struct mend *m)
{
	return batmap_mend(m->img);
}

static bool tail_wanted(struct mend *m)
{
	return m->f->nr_of[SIGN_BITMAP_TAIL];
}

static bool leaks_wanted(struct mend *m)
{
	unsigned int i;

	for (i = 0; i < m->o->nr_drops; i++)
		if (!strcmp(m->o->drops[i], "leaks"))
			return m->f->leaked && !m->dropped;
	return false;
}

static const struct part {
	const char *name;
	bool (*wanted)(struct mend *m);
	int (*mend)(struct mend *m);
} parts[NR_MEND_PARTS] = {
	[MEND_RESEAL] = { "footer or header", reseal_wanted, mend_reseal },
	[MEND_DROP] = { "dropped blocks", mend_drops, mend_drop },
	[MEND_FOOTERS] = { "footers", footers_wanted, footers_mend },
	[MEND_HEADER] = { "parent locators", locators_wanted, mend_header },
	[MEND_PADDING] = { "block allocation table", padding_wanted, mend_padding },
	[MEND_BATMAP] = { "batmap", batmap_wanted, batmap_run },
	[MEND_TAIL] = { "sector bitmap", tail_wanted, mend_tail },
	[MEND_LEAKS] = { "unused space", leaks_wanted, mend_leaks },
};

/**
 * mend_part_name() - what a part of a repair is about
 * @part:	it
 */
const char *mend_part_name(enum mend_part part)
{
	return parts[part].name;
}

/* Which of two footers is a forgery nobody can tell, and with it where anything lies. */
static bool is_wanted(struct mend *m, enum mend_part part)
{
	if (m->f->nr_of[SIGN_FOOTER_CONFLICT] || (m->img->fault && part != MEND_RESEAL))
		return false;
	return parts[part].wanted(m);
}

/**
 * mend_helps() - is there anything that --repair mends
 * @img:	the image as findings_collect() has left it
 * @f:		what is wrong with it
 * @o:		command line
 */
bool mend_helps(struct image *img, const struct findings *f, const struct options *o)
{
	struct mend m = { .o = o, .img = img, .f = (struct findings *)f };
	unsigned int i;

	for (i = 0; i < NR_MEND_PARTS; i++)
		if (is_wanted(&m, i))
			return true;
	return false;
}

static int look_again(struct mend *m)
{
	int ret = image_refresh_size(m->img);

	m->img->bitmap_block = ~0u;
	return ret ? ret : findings_collect(m->f, m->img, m->o->size_rule);
}

static int mend_part(struct mend *m, enum mend_part part)
{
	unsigned int round;
	int ret = 0;

	for (round = 0; !ret && round < ROUNDS; round++) {
		if (!is_wanted(m, part))
			break;
		ret = save_metadata(m);
		if (!ret)
			ret = parts[part].mend(m);
		if (!ret)
			ret = look_again(m);
		if (!ret)
			m->did |= 1u << part;
	}
	return ret;
}

/**
 * mend_all() - mend what can be mended
 * @m:	the repair; @m->f is what is left afterwards
 *
 * Return: 0, -ECANCELED after a message of its own, or another negative errno.
 */
int mend_all(struct mend *m)
{
	enum mend_part part;
	int ret = 0;

	if (!m->img->fault && mend_check_drops(m))
		return -ECANCELED;
	for (part = 0; !ret && part < NR_MEND_PARTS; part++)
		ret = mend_part(m, part);
	return ret ? ret : save_after(m);
}
