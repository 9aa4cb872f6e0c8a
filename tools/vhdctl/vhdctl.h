/* SPDX-License-Identifier: GPL-2.0 */
/* What every command of vhdctl shares: options, exit codes, messages. */
#ifndef VHDCTL_H
#define VHDCTL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>

#include "vhd_format.h"

/**
 * enum vhdctl_exit - exit codes; scripts rely on them
 * @VHDCTL_OK:		done
 * @VHDCTL_ERROR:	usage or system error
 * @VHDCTL_CORRUPT:	an image is corrupt or not a VHD
 * @VHDCTL_LEAKS:	check found nothing worse than unused space
 * @VHDCTL_NO_PARENT:	parent not found
 * @VHDCTL_ID_MISMATCH:	a parent was found and has another unique id
 * @VHDCTL_BUSY:	somebody else uses a file or the device
 * @VHDCTL_UNSUPPORTED:	legal, but not supported
 * @VHDCTL_NO_SPACE:	no space left on the file system
 * @VHDCTL_DIFFER:	diff found that the disks differ
 */
enum vhdctl_exit {
	VHDCTL_OK,
	VHDCTL_ERROR,
	VHDCTL_CORRUPT,
	VHDCTL_LEAKS,
	VHDCTL_NO_PARENT,
	VHDCTL_ID_MISMATCH,
	VHDCTL_BUSY,
	VHDCTL_UNSUPPORTED,
	VHDCTL_NO_SPACE,
	VHDCTL_DIFFER,
};

/**
 * struct options - everything that a command line can say
 *
 * One parser fills it for every command; the table in vhdctl.c says which
 * options a command takes, so that a command only reads what it asked for.
 */
struct options {
	/* about parents and sizes */
	const char **parents;
	unsigned int nr_parents;
	const char **parent_dirs;
	unsigned int nr_parent_dirs;
	bool no_locators;
	bool ignore_id_mismatch;
	unsigned int max_depth;
	enum vhd_size_rule size_rule;
	/* about output */
	bool json;
	bool raw;
	bool tree;
	bool watch;
	unsigned int watch_ms;
	const char *columns;
	/* about single commands */
	bool read_only;
	bool buffered;
	bool submit_inline;
	bool autoclear;
	bool no_partscan;
	bool lazy;
	bool force;
	bool all;
	bool chain;
	bool repair;
	bool azure;
	bool extents;
	bool punch;
	bool shrink;
	const char *name;
	const char *type;
	const char *from;
	const char *to;
	bool progress;
	const char *since;
	u64 size;
	u32 block_size;
	const char *uuid;
	const char *hidden;
	const char *new_rule;
	const char *into;
	const char *out;
	bool dry_run;
	const char **scan_dirs;
	unsigned int nr_scan_dirs;
	const char **drops;
	unsigned int nr_drops;
	const char *backup;
	bool no_backup;
	const char *restore;
	const char **relinks;
	unsigned int nr_relinks;

	char **args;
	int nr_args;
};

int attach_main(const struct options *o);
int check_main(const struct options *o);
int convert_main(const struct options *o);
int compact_main(const struct options *o);
int create_main(const struct options *o);
int detach_main(const struct options *o);
int diff_main(const struct options *o);
int export_main(const struct options *o);
int info_main(const struct options *o);
int list_main(const struct options *o);
int map_main(const struct options *o);
int merge_main(const struct options *o);
int monitor_main(const struct options *o);
int resize_main(const struct options *o);
int scan_main(const struct options *o);
int set_main(const struct options *o);
int snapshot_main(const struct options *o);
int status_main(const struct options *o);

/* options.c */

#define OPT_BIT(id)	(1ULL << (id))

enum option_id {
	OPT_PARENT, OPT_PARENTS_IN, OPT_NO_LOCATORS, OPT_IGNORE_ID, OPT_MAX_DEPTH,
	OPT_SIZE_RULE, OPT_JSON, OPT_RAW, OPT_TREE, OPT_WATCH, OPT_COLUMNS,
	OPT_READ_ONLY, OPT_CACHE, OPT_AUTOCLEAR, OPT_NO_PARTSCAN, OPT_SUBMIT,
	OPT_LAZY, OPT_FORCE, OPT_ALL, OPT_CHAIN, OPT_REPAIR, OPT_AZURE, OPT_EXTENTS,
	OPT_NAME, OPT_TYPE, OPT_SIZE, OPT_BLOCK, OPT_OVERWRITE,
	OPT_NEW_PARENT, OPT_UUID, OPT_HIDDEN, OPT_NEW_RULE, OPT_PUNCH, OPT_SHRINK,
	OPT_FROM, OPT_TO, OPT_FOR_AZURE, OPT_PROGRESS, OPT_SINCE,
	OPT_INTO, OPT_OUT, OPT_DRY_RUN, OPT_SCAN, OPT_RELINK,
	OPT_DROP, OPT_BACKUP, OPT_NO_BACKUP, OPT_RESTORE, OPT_HELP,
	OPT_NR
};

#define OPTS_CHAIN	(OPT_BIT(OPT_PARENT) | OPT_BIT(OPT_PARENTS_IN) | \
			 OPT_BIT(OPT_NO_LOCATORS) | OPT_BIT(OPT_IGNORE_ID) | \
			 OPT_BIT(OPT_MAX_DEPTH) | OPT_BIT(OPT_SIZE_RULE))

/**
 * struct command - one row of the subcommand table
 * @name:	first word of the command line
 * @main:	returns &enum vhdctl_exit and has said what went wrong
 * @synopsis:	operands, for usage lines
 * @what:	one line for the list of commands
 * @options:	OPT_BIT() of the options it takes
 * @min_args:	least number of operands
 * @max_args:	largest number of operands, -1 for any
 */
struct command {
	const char *name;
	int (*main)(const struct options *o);
	const char *synopsis;
	const char *what;
	u64 options;
	int min_args;
	int max_args;
};

int options_parse(struct options *o, const struct command *cmd, int argc, char **argv);
void options_help(const struct command *cmd);
bool options_complete(const struct command *cmd, const char *prev, const char *cur);
bool parse_size(const char *text, u64 *bytes);

/* message.c */

void msg_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void msg_hint(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void printable(char *text);
int exit_of_errno(int err);
int exit_of_fault(enum vhd_fault fault);

#endif /* VHDCTL_H */
