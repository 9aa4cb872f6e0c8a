/* SPDX-License-Identifier: GPL-2.0 */
/* /etc/vhdtab in memory, and what its generator makes of it. */
#ifndef VHDTAB_H
#define VHDTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define VHDTAB_MAX_OPTIONS	64
/* Mounts of further ones are not ordered. */
#define VHDTAB_PARTITIONS	16

/**
 * struct entry - a line of vhdtab
 * @file:	the table, for messages
 * @line:	number of the line
 * @name:	of the disk
 * @image:	absolute path
 * @arg:	arguments for "vhdctl attach", without name and image
 * @nr_args:	how many
 * @needs:	paths whose file systems must be there; the first is @image
 * @nr_needs:	how many
 * @timeout:	for the device to appear, as systemd takes it; or NULL
 * @nofail:	boot does not wait for it
 * @noauto:	attached only if something needs it
 * @remote:	behind the network
 * @used:	bit N: fstab has partition N, bit 0: the whole disk
 */
struct entry {
	const char *file;
	unsigned int line;
	char *name;
	char *image;
	char *arg[2 * VHDTAB_MAX_OPTIONS];
	unsigned int nr_args;
	char *needs[VHDTAB_MAX_OPTIONS];
	unsigned int nr_needs;
	char *timeout;
	bool nofail;
	bool noauto;
	bool remote;
	unsigned int used;
};

void complain(const char *file, unsigned int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int parse_line(struct entry *e, char *text);
void entry_clear(struct entry *e);
bool is_remote(const struct entry *e, const char *fstab);
void find_used(struct entry *e, const char *fstab);
void put_escaped(FILE *f, const char *s);
int write_unit(const struct entry *e, const char *dir);

#endif
