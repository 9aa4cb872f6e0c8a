// SPDX-License-Identifier: GPL-2.0
/* One table of options; parser and help of every command come from it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhdctl.h"

struct option_desc {
	char letter;
	const char *name;
	const char *arg;	/* in brackets if it may be left out */
	const char *help;
	const char *choices;	/* the values that there are, if these are few */
};

static const struct option_desc descs[OPT_NR] = {
	[OPT_PARENT] = { 0, "parent", "FILE",
		"FILE is a parent: by its id, or raw (repeatable)" },
	[OPT_PARENTS_IN] = { 0, "parents-in", "DIR",
		"look for parents only below DIR (repeatable)" },
	[OPT_NO_LOCATORS] = { 0, "no-locators", NULL,
		"ignore paths in images; use --parent only" },
	[OPT_IGNORE_ID] = { 0, "ignore-id-mismatch", NULL,
		"accept a parent with another unique id" },
	[OPT_MAX_DEPTH] = { 0, "max-depth", "N", "refuse chains of more than N files (255)" },
	[OPT_SIZE_RULE] = { 0, "size", "RULE",
		"size of the disk: auto, chs or current", "auto chs current" },
	[OPT_JSON] = { 'J', "json", NULL, "print JSON" },
	[OPT_RAW] = { 0, "raw", NULL, "print without alignment" },
	[OPT_TREE] = { 0, "tree", NULL, "show parents and children as a tree" },
	[OPT_WATCH] = { 0, "watch", "[SECONDS]",
		"show rates, every second if not told otherwise" },
	[OPT_COLUMNS] = { 'o', "output", "COLS", "columns to print, separated by commas" },
	[OPT_READ_ONLY] = { 'r', "read-only", NULL, "attach read-only" },
	[OPT_CACHE] = { 0, "cache", "MODE", "direct (default) or buffered",
		"direct buffered" },
	[OPT_AUTOCLEAR] = { 0, "autoclear", NULL,
		"detach at the last close after exclusive use" },
	[OPT_NO_PARTSCAN] = { 0, "no-partscan", NULL, "do not look for partitions" },
	[OPT_SUBMIT] = { 0, "submit", "MODE", "auto (default), queued or inline",
		"auto queued inline" },
	[OPT_LAZY] = { 0, "lazy", NULL, "detach when the last user closes the device" },
	[OPT_FORCE] = { 0, "force", NULL, "fail pending I/O and detach a device in use" },
	[OPT_ALL] = { 0, "all", NULL, "all devices" },
	[OPT_CHAIN] = { 0, "chain", NULL, "describe every file of the chain, leaf first" },
	[OPT_REPAIR] = { 0, "repair", NULL, "mend what can be mended without loss" },
	[OPT_DROP] = { 0, "drop", "WHAT",
		"give up bad entries, leaks, or block N (repeatable)", "bad leaks" },
	[OPT_BACKUP] = { 0, "backup", "FILE", "keep the old metadata there (IMAGE.saved)" },
	[OPT_NO_BACKUP] = { 0, "no-backup", NULL, "keep no copy of the old metadata" },
	[OPT_RESTORE] = { 0, "restore", "FILE", "put back what --backup has kept" },
	[OPT_AZURE] = { 0, "azure", NULL, "check also what Azure demands" },
	[OPT_EXTENTS] = { 0, "extents", NULL,
		"split runs where they are not contiguous in the file" },
	[OPT_PUNCH] = { 0, "punch", NULL,
		"only give back the storage of zeros; move nothing" },
	[OPT_SHRINK] = { 0, "shrink", NULL, "the disk may become smaller" },
	[OPT_NAME] = { 0, "name", "NAME", "a name for the device" },
	[OPT_TYPE] = { 't', "type", "TYPE", "fixed or dynamic (default)", "fixed dynamic" },
	[OPT_SIZE] = { 's', "disk-size", "SIZE", "virtual size; suffixes K, M, G, T" },
	[OPT_BLOCK] = { 'b', "block-size", "SIZE", "2M (default), 512K or a power of two",
		"2M 512K" },
	[OPT_OVERWRITE] = { 0, "force", NULL, "replace an existing file" },
	[OPT_NEW_PARENT] = { 0, "parent", "FILE",
		"the new parent; further ones are for chains, as elsewhere" },
	[OPT_UUID] = { 0, "uuid", "ID", "a unique id, or new for a random one" },
	[OPT_HIDDEN] = { 0, "hidden", "yes|no", "the mark of XenServer for disks without a user",
		"yes no" },
	[OPT_NEW_RULE] = { 0, "size-rule", "RULE",
		"make this size the one that all programs see: chs or current",
		"chs current" },
	[OPT_FROM] = { 'f', "from", "FORMAT", "what SRC is: raw or vhd", "raw vhd" },
	[OPT_TO] = { 't', "type", "TYPE", "what DST will be: raw, fixed or dynamic",
		"raw fixed dynamic" },
	[OPT_FOR_AZURE] = { 0, "azure", NULL, "make what Azure takes: fixed, whole MiB" },
	[OPT_PROGRESS] = { 0, "progress", NULL, "say how far it is" },
	[OPT_SINCE] = { 0, "since", "PARENT", "the older disk, whose child DST will be" },
	[OPT_INTO] = { 0, "into", "ANCESTOR", "the parent that gets it (the direct one)" },
	[OPT_OUT] = { 0, "out", "NEW", "write a new file and change no other" },
	[OPT_DRY_RUN] = { 0, "dry-run", NULL, "only say what would be written" },
	[OPT_SCAN] = { 0, "scan", "DIR", "refuse if other files below DIR would change" },
	[OPT_RELINK] = { 0, "relink", "CHILD", "the result becomes its parent (repeatable)" },
	[OPT_HELP] = { 'h', "help", NULL, "print this text" },
};

/* What getopt_long() returns for option id; below lie the single letters. */
#define LONG_BASE	256

struct getopt_tables {
	struct option longs[OPT_NR + 1];
	char shorts[2 * OPT_NR + 2];
};

static void build_tables(struct getopt_tables *t, u64 mask)
{
	unsigned int id, nr = 0;
	char *s = t->shorts;

	memset(t, 0, sizeof(*t));
	*s++ = ':';
	for (id = 0; id < OPT_NR; id++) {
		const struct option_desc *d = &descs[id];

		if (!(mask & OPT_BIT(id)))
			continue;
		t->longs[nr].name = d->name;
		t->longs[nr].has_arg = !d->arg ? no_argument :
				       *d->arg == '[' ? optional_argument : required_argument;
		t->longs[nr++].val = LONG_BASE + id;
		if (d->letter)
			*s++ = d->letter;
		if (d->letter && d->arg)
			*s++ = ':';
	}
}

static int id_of(int opt, u64 mask)
{
	int id;

	if (opt >= LONG_BASE)
		return opt - LONG_BASE;
	for (id = 0; id < OPT_NR; id++)
		if (descs[id].letter == opt && (mask & OPT_BIT(id)))
			return id;
	return -1;
}

static bool bad_value(int id, const char *value)
{
	msg_error("--%s does not take '%s'", descs[id].name, value);
	return false;
}

static bool add_string(const char ***list, unsigned int *nr, const char *value)
{
	const char **bigger = reallocarray(*list, *nr + 1, sizeof(*bigger));

	if (!bigger) {
		msg_error("out of memory");
		return false;
	}
	*list = bigger;
	bigger[(*nr)++] = value;
	return true;
}

/**
 * parse_size() - read a number of bytes with an optional binary suffix
 * @text:	for example "512K", "2M", "10G", "1T", "1MiB"
 * @bytes:	result
 *
 * Return: false if @text is no such number or does not fit 64 bits.
 */
bool parse_size(const char *text, u64 *bytes)
{
	static const char suffixes[] = "KMGTPE";
	const char *found;
	char *end;
	int shift = 0;
	u64 v;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return false;
	found = *end ? strchr(suffixes, *end & ~0x20) : NULL;
	if (found) {
		shift = 10 * (found - suffixes + 1);
		end++;
		if (!strcmp(end, "iB"))
			end += 2;
	}
	if (*end || v << shift >> shift != v)
		return false;
	*bytes = v << shift;
	return true;
}

static bool set_size_rule(struct options *o, const char *value)
{
	if (!strcmp(value, "auto"))
		o->size_rule = VHD_SIZE_AUTO;
	else if (!strcmp(value, "chs"))
		o->size_rule = VHD_SIZE_CHS;
	else if (!strcmp(value, "current"))
		o->size_rule = VHD_SIZE_CURRENT;
	else
		return bad_value(OPT_SIZE_RULE, value);
	return true;
}

static bool set_cache(struct options *o, const char *value)
{
	o->buffered = !strcmp(value, "buffered");
	return o->buffered || !strcmp(value, "direct") || bad_value(OPT_CACHE, value);
}

static bool set_submit(struct options *o, const char *value)
{
	o->submit_inline = !strcmp(value, "inline");
	return o->submit_inline || !strcmp(value, "auto") || !strcmp(value, "queued") ||
	       bad_value(OPT_SUBMIT, value);
}

static bool set_depth(struct options *o, const char *value)
{
	u64 n;

	if (!parse_size(value, &n) || !n || n > VHD_MAX_DEPTH)
		return bad_value(OPT_MAX_DEPTH, value);
	o->max_depth = n;
	return true;
}

static bool set_block_size(struct options *o, const char *value)
{
	u64 n;

	if (!parse_size(value, &n) || n < VHD_BLOCK_SIZE_MIN ||
	    n > VHD_BLOCK_SIZE_MAX || (n & (n - 1))) {
		msg_error("block size '%s' is not a power of two from 4K to 256M", value);
		return false;
	}
	o->block_size = n;
	return true;
}

static bool set_disk_size(struct options *o, const char *value)
{
	if (!parse_size(value, &o->size) || !o->size) {
		msg_error("size '%s' is not a number with an optional suffix K, M, G or T", value);
		return false;
	}
	if (o->size % VHD_SECTOR_SIZE) {
		msg_error("size '%s' is not a multiple of 512 bytes", value);
		return false;
	}
	return true;
}

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789.")];
}

static bool set_interval(struct options *o, const char *value)
{
	char *end;
	double seconds = strtod(value, &end);

	if (!is_number(value) || *end || seconds < 0.1 || seconds > 86400)
		return bad_value(OPT_WATCH, value);
	o->watch_ms = seconds * 1000 + 0.5;
	return true;
}

static bool set_type(struct options *o, const char *value)
{
	o->type = value;
	return !strcmp(value, "fixed") || !strcmp(value, "dynamic") ||
	       bad_value(OPT_TYPE, value);
}

static bool set_word(const char **word, int id, const char *value, const char *a,
		     const char *b)
{
	*word = value;
	return !strcmp(value, a) || !strcmp(value, b) || bad_value(id, value);
}

static bool set_from(struct options *o, const char *value)
{
	o->from = value;
	return !strcmp(value, "raw") || !strcmp(value, "vhd") || bad_value(OPT_FROM, value);
}

static bool set_to(struct options *o, const char *value)
{
	o->to = value;
	return !strcmp(value, "raw") || !strcmp(value, "fixed") ||
	       !strcmp(value, "dynamic") || bad_value(OPT_TO, value);
}

static bool set_drop(struct options *o, const char *value)
{
	u64 block;

	if (strcmp(value, "bad") && strcmp(value, "leaks") &&
	    (!parse_size(value, &block) || block >= VHD_MAX_BLOCKS))
		return bad_value(OPT_DROP, value);
	return add_string(&o->drops, &o->nr_drops, value);
}

static bool *flag_of(struct options *o, int id)
{
	switch (id) {
	case OPT_NO_LOCATORS:	return &o->no_locators;
	case OPT_IGNORE_ID:	return &o->ignore_id_mismatch;
	case OPT_JSON:		return &o->json;
	case OPT_RAW:		return &o->raw;
	case OPT_TREE:		return &o->tree;
	case OPT_WATCH:		return &o->watch;
	case OPT_READ_ONLY:	return &o->read_only;
	case OPT_AUTOCLEAR:	return &o->autoclear;
	case OPT_NO_PARTSCAN:	return &o->no_partscan;
	case OPT_LAZY:		return &o->lazy;
	case OPT_FORCE:
	case OPT_OVERWRITE:	return &o->force;
	case OPT_ALL:		return &o->all;
	case OPT_CHAIN:		return &o->chain;
	case OPT_REPAIR:	return &o->repair;
	case OPT_NO_BACKUP:	return &o->no_backup;
	case OPT_AZURE:
	case OPT_FOR_AZURE:	return &o->azure;
	case OPT_PROGRESS:	return &o->progress;
	case OPT_EXTENTS:	return &o->extents;
	case OPT_PUNCH:		return &o->punch;
	case OPT_DRY_RUN:	return &o->dry_run;
	case OPT_SHRINK:	return &o->shrink;
	}
	return NULL;
}

static const char **text_of(struct options *o, int id)
{
	switch (id) {
	case OPT_COLUMNS:	return &o->columns;
	case OPT_SINCE:		return &o->since;
	case OPT_INTO:		return &o->into;
	case OPT_OUT:		return &o->out;
	case OPT_BACKUP:	return &o->backup;
	case OPT_RESTORE:	return &o->restore;
	case OPT_UUID:		return &o->uuid;
	}
	return NULL;
}

static bool set_value(struct options *o, int id, const char *value)
{
	switch (id) {
	case OPT_PARENT:
	case OPT_NEW_PARENT:
		return add_string(&o->parents, &o->nr_parents, value);
	case OPT_PARENTS_IN:
		return add_string(&o->parent_dirs, &o->nr_parent_dirs, value);
	case OPT_MAX_DEPTH:
		return set_depth(o, value);
	case OPT_SIZE_RULE:
		return set_size_rule(o, value);
	case OPT_WATCH:
		return set_interval(o, value);
	case OPT_CACHE:
		return set_cache(o, value);
	case OPT_SUBMIT:
		return set_submit(o, value);
	case OPT_NAME:
		o->name = value;
		return strlen(value) < 64 || bad_value(id, value);
	case OPT_TYPE:
		return set_type(o, value);
	case OPT_FROM:
		return set_from(o, value);
	case OPT_TO:
		return set_to(o, value);
	case OPT_SCAN:
		return add_string(&o->scan_dirs, &o->nr_scan_dirs, value);
	case OPT_DROP:
		return set_drop(o, value);
	case OPT_RELINK:
		return add_string(&o->relinks, &o->nr_relinks, value);
	case OPT_SIZE:
		return set_disk_size(o, value);
	case OPT_BLOCK:
		return set_block_size(o, value);
	case OPT_HIDDEN:
		return set_word(&o->hidden, id, value, "yes", "no");
	case OPT_NEW_RULE:
		return set_word(&o->new_rule, id, value, "chs", "current");
	}
	return false;
}

static bool apply(struct options *o, int id, const char *value)
{
	const char **text = text_of(o, id);
	bool *flag = flag_of(o, id);

	if (flag)
		*flag = true;
	if (text)
		*text = value;
	return text || (flag && !value) || set_value(o, id, value);
}

/* A value that may be left out is the next word if that can be nothing else. */
static char *value_of(int id, int argc, char **argv)
{
	const char *arg = descs[id].arg;

	if (optarg || !arg || *arg != '[' || optind == argc || !is_number(argv[optind]))
		return optarg;
	return argv[optind++];
}

static void hint(const struct command *cmd)
{
	msg_hint("see 'vhdctl %s --help'", cmd->name);
}

static int bad_option(const struct command *cmd, int opt, char **argv)
{
	const char *word = argv[optind - 1];

	if (opt == ':')
		msg_error("%s: option '%s' needs a value", cmd->name, word);
	else if (optopt > 0 && optopt < LONG_BASE)
		msg_error("%s: unknown option '-%c'", cmd->name, optopt);
	else
		msg_error("%s: unknown option '%s'", cmd->name, word);
	hint(cmd);
	return VHDCTL_ERROR;
}

/* The last of all words, where a number with a sign can be no option. */
static int set_last(const struct command *cmd, int argc, char **argv)
{
	char *word;
	int i, j;

	if (!strstr(cmd->synopsis, "|-]"))
		return argc;
	for (i = 1; i < argc && strcmp(argv[i], "--"); i++) {
		word = argv[i];
		if (*word != '-' || word[1] < '0' || word[1] > '9')
			continue;
		for (j = i; j + 1 < argc; j++)
			argv[j] = argv[j + 1];
		argv[argc - 1] = word;
		return argc - 1;
	}
	return argc;
}

static int count_args(struct options *o, const struct command *cmd, int argc, char **argv)
{
	o->args = argv + optind;
	o->nr_args = argc - optind;
	if (o->nr_args < cmd->min_args)
		msg_error("%s: something is missing: vhdctl %s %s", cmd->name, cmd->name,
			  cmd->synopsis);
	else if (cmd->max_args >= 0 && o->nr_args > cmd->max_args)
		msg_error("%s: unexpected '%s'", cmd->name, o->args[cmd->max_args]);
	else
		return VHDCTL_OK;
	hint(cmd);
	return VHDCTL_ERROR;
}

/**
 * options_parse() - read the command line of one command
 * @o:		result
 * @cmd:	its row of the table
 * @argc:	of @argv
 * @argv:	starts with the name of the command
 *
 * Does not return for --help.
 *
 * Return: VHDCTL_OK, or VHDCTL_ERROR after a message.
 */
int options_parse(struct options *o, const struct command *cmd, int argc, char **argv)
{
	u64 mask = cmd->options | OPT_BIT(OPT_HELP);
	int nr = set_last(cmd, argc, argv), opt, id;
	struct getopt_tables t;

	build_tables(&t, mask);
	opterr = 0;
	optind = 1;
	while ((opt = getopt_long(nr, argv, t.shorts, t.longs, NULL)) != -1) {
		if (opt == '?' || opt == ':')
			return bad_option(cmd, opt, argv);
		id = id_of(opt, mask);
		if (id == OPT_HELP) {
			options_help(cmd);
			exit(fflush(stdout) ? VHDCTL_ERROR : VHDCTL_OK);
		}
		if (!apply(o, id, value_of(id, nr, argv))) {
			hint(cmd);
			return VHDCTL_ERROR;
		}
	}
	return count_args(o, cmd, argc, argv);
}

#define SCREEN_WIDTH	80
#define HELP_COLUMN	31

/* A description that is too long for its line goes on below itself. */
static void print_wrapped(const char *text)
{
	int room = SCREEN_WIDTH - HELP_COLUMN, len;

	for (;; printf("\n%*s", HELP_COLUMN, "")) {
		len = strlen(text);
		if (len > room)
			for (len = room; len && text[len] != ' '; len--)
				;
		if (!len || !text[len])
			break;
		printf("%.*s", len, text);
		text += len + 1;
	}
	puts(text);
}

/**
 * options_help() - print what one command does and takes
 * @cmd:	row of the table
 */
void options_help(const struct command *cmd)
{
	u64 mask = cmd->options | OPT_BIT(OPT_HELP);
	unsigned int id;

	printf("Usage: vhdctl %s [OPTION]... %s\n\n%s.\n\n", cmd->name, cmd->synopsis, cmd->what);
	for (id = 0; id < OPT_NR; id++) {
		const struct option_desc *d = &descs[id];
		char words[64], letter[8] = "    ";

		if (!(mask & OPT_BIT(id)))
			continue;
		if (d->letter)
			snprintf(letter, sizeof(letter), "-%c, ", d->letter);
		snprintf(words, sizeof(words), "%s--%s%s%s", letter, d->name,
			 d->arg ? " " : "", d->arg ? d->arg : "");
		printf("  %-28s ", words);
		print_wrapped(d->help);
	}
	printf("\nMore in vhdctl(8).\n");
}

/* Whether @word is option @id of a command, which needs a value. */
static bool wants_value(unsigned int id, const char *word)
{
	const struct option_desc *d = &descs[id];

	if (!d->arg || *d->arg == '[' || *word++ != '-')
		return false;
	return (d->letter && word[0] == d->letter && !word[1]) ||
	       (*word == '-' && !strcmp(word + 1, d->name));
}

static void print_choices(const char *choices, const char *cur)
{
	size_t len;

	for (; choices && *choices; choices += len + !!choices[len]) {
		len = strcspn(choices, " ");
		if (len >= strlen(cur) && !strncmp(choices, cur, strlen(cur)))
			printf("%.*s\n", (int)len, choices);
	}
}

/* Whether the option @name may come of @cur, which begins with a dash. */
static bool begins(const char *name, const char *cur)
{
	return !cur[1] || (cur[1] == '-' && !strncmp(name, cur + 2, strlen(cur + 2)));
}

/**
 * options_complete() - print the words that a shell may offer, with what they mean
 * @cmd:	row of the table
 * @prev:	the word before, "" if that is the command
 * @cur:	the word so far
 *
 * Return: false if @cur is an operand, of which options.c knows nothing.
 */
bool options_complete(const struct command *cmd, const char *prev, const char *cur)
{
	u64 mask = cmd->options | OPT_BIT(OPT_HELP);
	unsigned int id;

	for (id = 0; id < OPT_NR; id++)
		if (mask & OPT_BIT(id) && wants_value(id, prev)) {
			print_choices(descs[id].choices, cur);
			return true;
		}
	if (*cur != '-')
		return false;
	for (id = 0; id < OPT_NR; id++)
		if (mask & OPT_BIT(id) && begins(descs[id].name, cur))
			printf("--%s\t%s\n", descs[id].name, descs[id].help);
	return true;
}
