/* SPDX-License-Identifier: GPL-2.0 */
/* The parts of "vhdctl check --repair". */
#ifndef VHDCTL_MEND_H
#define VHDCTL_MEND_H

#include "chain.h"
#include "findings.h"

/* What a repair has written, in the order in which it does. */
enum mend_part {
	MEND_RESEAL, MEND_DROP, MEND_FOOTERS, MEND_HEADER, MEND_PADDING, MEND_BATMAP,
	MEND_TAIL, MEND_LEAKS,
	NR_MEND_PARTS
};

/* Which damaged record has a substitute. */
enum reseal { RESEAL_NONE, RESEAL_FOOTERS, RESEAL_SHIFTED, RESEAL_HEADER };

/**
 * struct mend - a repair under way
 * @o:		command line
 * @img:	the image, open for writing and exclusively locked
 * @f:		what is wrong with it now
 * @saved:	name of the copy of the old metadata, NULL as long as nothing has changed
 * @reseal:	what reseal_find() has found
 * @did:	bits of &enum mend_part
 * @dropped:	blocks
 * @freed:	bytes given back
 */
struct mend {
	const struct options *o;
	struct image *img;
	struct findings *f;
	char *saved;
	enum reseal reseal;
	unsigned int did;
	u32 dropped;
	u64 freed;
};

/* mend.c */
int mend_all(struct mend *m);
bool mend_helps(struct image *img, const struct findings *f, const struct options *o);
const char *mend_part_name(enum mend_part part);

/* mend_table.c */
int mend_check_drops(const struct mend *m);
bool mend_drops(struct mend *m);
int mend_drop(struct mend *m);
int mend_padding(struct mend *m);
int mend_tail(struct mend *m);
int mend_leaks(struct mend *m);

/* mend_header.c */
bool header_wanted(struct image *img, const struct findings *f);
int mend_header(struct mend *m);

/* reseal.c */
enum reseal reseal_find(struct image *img, const struct options *o);
int mend_reseal(struct mend *m);

/* save.c */
int save_metadata(struct mend *m);
int save_after(struct mend *m);
int restore_main(const struct options *o);

#endif /* VHDCTL_MEND_H */
