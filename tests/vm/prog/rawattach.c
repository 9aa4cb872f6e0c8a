// SPDX-License-Identifier: GPL-2.0
/*
 * Hand descriptors to the kernel without looking at the files first: what
 * vhdctl would refuse must be refused, or survived, by the kernel as well.
 *
 * usage: rawattach [-s COMMAND] < LINES
 *
 * A line is "TAG FLAGS LAYER...", leaf first. FLAGS are letters of "rianb"
 * (read-only, ignore id, autoclear, no partitions, buffered) or "-". A LAYER is
 * a path, "ro:PATH", "rw:PATH", "raw:PATH" or "fd:NUMBER". For each line comes
 *
 *   TAG <tab> errno <tab> fault <tab> layer <tab> index <tab> text
 *
 * The line "detach INDEX" ends a device and is answered in the same form. -s
 * runs a command between open and attach.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vhd_format.h>
#include "nl.h"

#define BLANKS "\n "

static const char *command;

static u32 parse_flags(const char *s)
{
	static const char letters[] = "rianb";
	u32 flags = 0;
	const char *hit;

	for (; *s; s++) {
		hit = strchr(letters, *s);
		if (hit)
			flags |= 1u << (hit - letters);
	}
	return flags;
}

static int parse_layer(const char *word, bool leaf_rw, struct nl_layer *layer)
{
	int mode = leaf_rw ? O_RDWR : O_RDONLY;

	layer->flags = 0;
	if (!strncmp(word, "fd:", 3)) {
		layer->fd = atoi(word + 3);
		return 0;
	}
	if (!strncmp(word, "ro:", 3) || !strncmp(word, "rw:", 3)) {
		mode = word[1] == 'w' ? O_RDWR : O_RDONLY;
		word += 3;
	} else if (!strncmp(word, "raw:", 4)) {
		layer->flags = VHDBLK_LAYER_RAW;
		word += 4;
	}
	layer->fd = open(word, mode | O_CLOEXEC);
	if (layer->fd < 0)
		fprintf(stderr, "rawattach: %s: %s\n", word, strerror(errno));
	return layer->fd < 0 ? -1 : 0;
}

static void close_layers(const char **word, const struct nl_layer *layer,
			 unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		if (strncmp(word[i], "fd:", 3))
			close(layer[i].fd);
	}
}

static void answer(const char *tag, const struct nl_result *r)
{
	printf("%s\t%d\t%s\t", tag, r->error, vhd_fault_name(r->fault));
	printf("%u\t%u\t%s\n", r->layer, r->index, r->text);
	fflush(stdout);
}

static int one_detach(struct nl *nl, const char *index)
{
	struct nl_result r = { 0 };
	int err = nl_detach(nl, strtoul(index, NULL, 0), 0, &r);

	if (err)
		r.error = err;
	answer("detach", &r);
	return 0;
}

static int one_attach(struct nl *nl, const char *tag, u32 flags,
		      const char **word, unsigned int nr)
{
	struct nl_layer layer[NL_MAX_LAYERS + 4];
	struct nl_result r = { 0 };
	unsigned int i;
	int err;

	for (i = 0; i < nr; i++) {
		if (parse_layer(word[i], !i && !(flags & VHDBLK_ATTACH_READ_ONLY),
				&layer[i]))
			return -1;
	}
	if (command && system(command))
		fprintf(stderr, "rawattach: '%s' failed\n", command);
	err = nl_attach(nl, layer, nr, flags, &r);
	if (err)
		r.error = err;
	answer(tag, &r);
	close_layers(word, layer, nr);
	return 0;
}

static int one_line(struct nl *nl, char *line)
{
	const char *word[NL_MAX_LAYERS + 4], *tag, *flags;
	unsigned int nr = 0;
	char *save, *w;

	tag = strtok_r(line, BLANKS, &save);
	flags = strtok_r(NULL, BLANKS, &save);
	if (!tag || !flags)
		return 0;
	if (!strcmp(tag, "detach"))
		return one_detach(nl, flags);
	while (nr < NL_MAX_LAYERS + 4 && (w = strtok_r(NULL, BLANKS, &save)))
		word[nr++] = w;
	return one_attach(nl, tag, parse_flags(flags), word, nr);
}

int main(int argc, char **argv)
{
	static struct nl nl;
	char *line = NULL;
	size_t size = 0;
	int c, err;

	while ((c = getopt(argc, argv, "s:")) != -1) {
		if (c == 's')
			command = optarg;
		else
			return 2;
	}
	err = nl_open(&nl);
	if (err) {
		fprintf(stderr, "rawattach: netlink: %s\n", strerror(-err));
		return 1;
	}
	while (getline(&line, &size, stdin) > 0) {
		if (one_line(&nl, line))
			return 1;
	}
	free(line);
	nl_close(&nl);
	return 0;
}
