// SPDX-License-Identifier: GPL-2.0
/* vhdtab-generator: units for the disks in /etc/vhdtab; see systemd.generator(7). */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhdtab.h"

static unsigned int complaints;

/* Nobody reads what a generator prints at boot; the kernel's log ends up in the journal. */
static FILE *log_open(void)
{
	FILE *f = getenv("SYSTEMD_SCOPE") ? fopen("/dev/kmsg", "we") : NULL;

	if (f)
		fputs("<3>", f);
	return f;
}

/**
 * complain() - say what is wrong with a line
 * @file:	the table
 * @line:	number of the line, or 0
 * @fmt:	what printf() takes
 */
void complain(const char *file, unsigned int line, const char *fmt, ...)
{
	FILE *log = log_open(), *f = log ? log : stderr;
	va_list args;

	complaints++;
	fprintf(f, "vhdtab-generator[%d]: %s:", (int)getpid(), file);
	if (line)
		fprintf(f, "%u:", line);
	fputc(' ', f);
	va_start(args, fmt);
	vfprintf(f, fmt, args);
	va_end(args);
	fputc('\n', f);
	if (log)
		fclose(log);
}

static bool is_blank(const char *text)
{
	text += strspn(text, " \t\r\n");
	return !*text || *text == '#';
}

static void one_line(struct entry *e, char *text, const char *fstab, const char *dir)
{
	if (parse_line(e, text))
		return;
	e->remote = is_remote(e, fstab);
	find_used(e, fstab);
	write_unit(e, dir);
}

static void read_table(FILE *f, const char *file, const char *fstab, const char *dir)
{
	struct entry e = { 0 };
	unsigned int line = 0;
	char *text = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&text, &size, f)) >= 0) {
		line++;
		if (strlen(text) != (size_t)len) {
			complain(file, line, "a zero byte");
			continue;
		}
		if (is_blank(text))
			continue;
		e.file = file;
		e.line = line;
		one_line(&e, text, fstab, dir);
		entry_clear(&e);
	}
	if (ferror(f))
		complain(file, 0, "%s", strerror(errno));
	free(text);
}

int main(int argc, char **argv)
{
	const char *file = getenv("SYSTEMD_VHDTAB"), *fstab = getenv("SYSTEMD_FSTAB");
	FILE *f;

	if (argc != 2 && argc != 4) {
		fprintf(stderr, "usage: vhdtab-generator DIRECTORY [EARLY LATE]\n");
		return 1;
	}
	file = file ? file : "/etc/vhdtab";
	f = fopen(file, "re");
	if (!f && errno == ENOENT)
		return 0;
	if (!f) {
		complain(file, 0, "%s", strerror(errno));
		return 1;
	}
	read_table(f, file, fstab ? fstab : "/etc/fstab", argv[1]);
	fclose(f);
	return complaints ? 1 : 0;
}
