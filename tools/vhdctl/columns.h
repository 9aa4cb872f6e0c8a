/* SPDX-License-Identifier: GPL-2.0 */
/* Columns of tables: which ones are wanted, and their headings. */
#ifndef VHDCTL_COLUMNS_H
#define VHDCTL_COLUMNS_H

#include <libsmartcols/libsmartcols.h>

#include "vhdctl.h"

#define COLUMNS_MAX	16

struct column_desc {
	const char *name;	/* lower case: JSON and -o; upper case: heading */
	int flags;
	int json_type;
};

/**
 * struct columns - those of one table
 * @command:	whose table it is
 * @desc:	all that there are
 * @nr_desc:	how many, at most COLUMNS_MAX
 * @chosen:	indices into @desc, in the order wanted
 * @nr:		how many
 */
struct columns {
	const char *command;
	const struct column_desc *desc;
	unsigned int nr_desc;
	unsigned int chosen[COLUMNS_MAX];
	unsigned int nr;
};

int columns_choose(struct columns *c, const char *names, const unsigned int *usual,
		   unsigned int nr);
int columns_add(const struct columns *c, struct libscols_table *table, const struct options *o);
const char *columns_bytes(const struct options *o, u64 n, char *text);

#endif /* VHDCTL_COLUMNS_H */
