// SPDX-License-Identifier: GPL-2.0
/* vhdctl: the control program of vhdblk, and a tool for VHD files. */
#include <glob.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhdctl.h"

#ifndef VHDCTL_VERSION
#define VHDCTL_VERSION "0.1.0"
#endif

static const struct command commands[] = {
	{ "attach", attach_main, "FILE", "Map a VHD and its parents to /dev/vhdN",
	  OPTS_CHAIN | OPT_BIT(OPT_READ_ONLY) | OPT_BIT(OPT_NAME) | OPT_BIT(OPT_CACHE) |
	  OPT_BIT(OPT_AUTOCLEAR) | OPT_BIT(OPT_NO_PARTSCAN) | OPT_BIT(OPT_SUBMIT) |
	  OPT_BIT(OPT_JSON), 1, 1 },
	{ "detach", detach_main, "DEV|FILE...|--all", "Take devices away",
	  OPT_BIT(OPT_LAZY) | OPT_BIT(OPT_FORCE) | OPT_BIT(OPT_ALL), 0, -1 },
	{ "list", list_main, "[DIR]...", "List the devices, or images as scan does",
	  OPT_BIT(OPT_COLUMNS) | OPT_BIT(OPT_JSON) | OPT_BIT(OPT_RAW) | OPT_BIT(OPT_TREE), 0, -1 },
	{ "scan", scan_main, "DIR...", "List the images below directories, and broken links",
	  OPT_BIT(OPT_COLUMNS) | OPT_BIT(OPT_JSON) | OPT_BIT(OPT_RAW) | OPT_BIT(OPT_TREE) |
	  OPT_BIT(OPT_SIZE_RULE), 1, -1 },
	{ "status", status_main, "DEV", "Show files and counters of a device",
	  OPT_BIT(OPT_JSON) | OPT_BIT(OPT_WATCH), 1, 1 },
	{ "info", info_main, "FILE", "Describe a VHD file",
	  OPTS_CHAIN | OPT_BIT(OPT_CHAIN) | OPT_BIT(OPT_JSON), 1, 1 },
	{ "create", create_main, "FILE", "Make a new VHD, with --parent a differencing child",
	  OPTS_CHAIN | OPT_BIT(OPT_TYPE) | OPT_BIT(OPT_SIZE) | OPT_BIT(OPT_BLOCK) |
	  OPT_BIT(OPT_OVERWRITE), 1, 1 },
	{ "snapshot", snapshot_main, "FILE NEW", "Make NEW a child of FILE",
	  OPTS_CHAIN | OPT_BIT(OPT_OVERWRITE), 2, 2 },
	{ "check", check_main, "FILE", "Look for faults in a VHD file, and mend them",
	  OPTS_CHAIN | OPT_BIT(OPT_REPAIR) | OPT_BIT(OPT_JSON) | OPT_BIT(OPT_AZURE) |
	  OPT_BIT(OPT_DROP) | OPT_BIT(OPT_BACKUP) | OPT_BIT(OPT_NO_BACKUP) |
	  OPT_BIT(OPT_RESTORE), 1, 1 },
	{ "set", set_main, "FILE", "Change the parent, the unique id and other fields",
	  OPT_BIT(OPT_NEW_PARENT) | OPT_BIT(OPT_PARENTS_IN) | OPT_BIT(OPT_NO_LOCATORS) |
	  OPT_BIT(OPT_IGNORE_ID) | OPT_BIT(OPT_MAX_DEPTH) | OPT_BIT(OPT_UUID) |
	  OPT_BIT(OPT_HIDDEN) | OPT_BIT(OPT_NEW_RULE), 1, 1 },
	{ "compact", compact_main, "FILE", "Drop blocks that are not needed, and the space of gaps",
	  OPTS_CHAIN | OPT_BIT(OPT_PUNCH) | OPT_BIT(OPT_PROGRESS) | OPT_BIT(OPT_JSON), 1, 1 },
	{ "merge", merge_main, "FILE", "Put what FILE holds into a parent, or into a new file",
	  OPTS_CHAIN | OPT_BIT(OPT_INTO) | OPT_BIT(OPT_OUT) | OPT_BIT(OPT_DRY_RUN) |
	  OPT_BIT(OPT_SCAN) | OPT_BIT(OPT_RELINK) | OPT_BIT(OPT_OVERWRITE) |
	  OPT_BIT(OPT_PROGRESS) | OPT_BIT(OPT_JSON), 1, 1 },
	{ "resize", resize_main, "FILE [+|-]SIZE", "Make the disk of a VHD file larger or smaller",
	  (OPTS_CHAIN & ~OPT_BIT(OPT_SIZE_RULE)) | OPT_BIT(OPT_SHRINK) | OPT_BIT(OPT_JSON), 2, 2 },
	{ "map", map_main, "FILE|DEV", "Show which file of the chain holds what",
	  OPTS_CHAIN | OPT_BIT(OPT_JSON) | OPT_BIT(OPT_EXTENTS), 1, 1 },
	{ "diff", diff_main, "A B", "Show where two disks differ",
	  OPTS_CHAIN | OPT_BIT(OPT_PROGRESS) | OPT_BIT(OPT_JSON), 2, 2 },
	{ "convert", convert_main, "SRC DST", "Copy a disk, flattened, to another format",
	  OPTS_CHAIN | OPT_BIT(OPT_FROM) | OPT_BIT(OPT_TO) | OPT_BIT(OPT_BLOCK) |
	  OPT_BIT(OPT_FOR_AZURE) | OPT_BIT(OPT_OVERWRITE) | OPT_BIT(OPT_PROGRESS) |
	  OPT_BIT(OPT_JSON), 2, 2 },
	{ "export", export_main, "--since PARENT SRC DST",
	  "Write what differs from PARENT as a child of it",
	  OPTS_CHAIN | OPT_BIT(OPT_SINCE) | OPT_BIT(OPT_BLOCK) | OPT_BIT(OPT_OVERWRITE) |
	  OPT_BIT(OPT_PROGRESS), 2, 2 },
	{ "monitor", monitor_main, "", "Print events as they happen",
	  OPT_BIT(OPT_JSON), 0, 0 },
};

#define NR_COMMANDS ARRAY_SIZE(commands)

static void print_usage(void)
{
	unsigned int i;

	printf("Usage: vhdctl [COMMAND [OPTION]... [OPERAND]...]\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		printf("  %-9s %s\n", commands[i].name, commands[i].what);
	printf("\nExit codes: 0 ok, 1 error, 2 corrupt, 3 leaks, 4 no parent, 5 wrong parent,\n"
	       "6 busy, 7 unsupported, 8 no space, 9 differ. See COMMAND --help and vhdctl(8).\n");
}

static const struct command *find_command(const char *name)
{
	unsigned int i;

	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

static void complete_device(const char *cur)
{
	glob_t found = { 0 };
	size_t i;

	if (!glob("/dev/vhd[0-9]*", 0, NULL, &found))
		for (i = 0; i < found.gl_pathc; i++)
			if (!strncmp(found.gl_pathv[i], cur, strlen(cur)))
				puts(found.gl_pathv[i]);
	globfree(&found);
}

/* For the shells: @words are those behind "vhdctl"; the last one is not complete. */
static int complete(int nr, char **words)
{
	const char *cur = nr ? words[nr - 1] : "";
	const struct command *cmd;
	unsigned int i;

	for (i = 0; nr <= 1 && i < NR_COMMANDS; i++)
		if (!strncmp(commands[i].name, cur, strlen(cur)))
			printf("%s\t%s\n", commands[i].name, commands[i].what);
	cmd = nr > 1 ? find_command(words[0]) : NULL;
	if (cmd && !options_complete(cmd, nr > 2 ? words[nr - 2] : "", cur) &&
	    strstr(cmd->synopsis, "DEV"))
		complete_device(cur);
	return VHDCTL_OK;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct options o = { .max_depth = VHD_MAX_DEPTH, .watch_ms = 1000 };
	int ret = options_parse(&o, cmd, argc, argv);

	if (!ret)
		ret = cmd->main(&o);
	free(o.parents);
	free(o.parent_dirs);
	free(o.scan_dirs);
	free(o.relinks);
	return ret;
}

static int dispatch(int argc, char **argv)
{
	const struct command *cmd;

	if (argc < 2)
		return run(find_command("list"), 1, argv);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"))
		return printf("vhdctl %s\n", VHDCTL_VERSION) < 0 ? VHDCTL_ERROR : VHDCTL_OK;
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		print_usage();
		return VHDCTL_OK;
	}
	if (!strcmp(argv[1], "--complete"))
		return complete(argc - 2, argv + 2);
	cmd = find_command(argv[1]);
	if (cmd)
		return run(cmd, argc - 1, argv + 1);
	msg_error("unknown command '%s'; see 'vhdctl --help'", argv[1]);
	return VHDCTL_ERROR;
}

int main(int argc, char **argv)
{
	int ret;

	setlocale(LC_CTYPE, "");
	ret = dispatch(argc, argv);
	/* A full disk behind a redirection must not look like success. */
	if ((fflush(stdout) || ferror(stdout)) && !ret) {
		msg_error("cannot write the output");
		ret = VHDCTL_ERROR;
	}
	return ret;
}
