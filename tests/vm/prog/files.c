// SPDX-License-Identifier: GPL-2.0
/*
 * Many small files whose contents follow from their names.
 *
 * usage: files make DIR NR
 *        files check DIR NR
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PER_DIR 100u
/* Sizes run from 0 to this, so that some files share a sector and some do not. */
#define MAX_SIZE 4099u

static size_t contents(unsigned int nr, char *buf)
{
	size_t size = nr * 2654435761u % (MAX_SIZE + 1), i;
	unsigned int word = nr;

	for (i = 0; i < size; i++) {
		word = word * 1103515245u + 12345u;
		buf[i] = word >> 24;
	}
	return size;
}

static void name_of(unsigned int nr, char *name, size_t size)
{
	snprintf(name, size, "d%03u/f%05u", nr / PER_DIR, nr);
}

static int make_one(unsigned int nr, const char *name)
{
	char want[MAX_SIZE];
	size_t size = contents(nr, want);
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = write(fd, want, size);
	if (close(fd) || n != (ssize_t)size)
		return -1;
	return 0;
}

static int check_one(unsigned int nr, const char *name)
{
	char want[MAX_SIZE], got[MAX_SIZE + 1];
	size_t size = contents(nr, want);
	int fd = open(name, O_RDONLY);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, got, sizeof(got));
	close(fd);
	errno = EILSEQ;
	return n == (ssize_t)size && !memcmp(want, got, size) ? 0 : -1;
}

static int all(const char *verb, unsigned int nr)
{
	char name[64], dir[32];
	int make = !strcmp(verb, "make");
	unsigned int i, bad = 0;

	for (i = 0; i < nr; i++) {
		snprintf(dir, sizeof(dir), "d%03u", i / PER_DIR);
		if (make && i % PER_DIR == 0 && mkdir(dir, 0755))
			perror(dir);
		name_of(i, name, sizeof(name));
		if (!(make ? make_one(i, name) : check_one(i, name)))
			continue;
		if (!bad++)
			perror(name);
	}
	printf("files: %s %u, %u bad\n", verb, nr, bad);
	return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc != 4 ||
	    (strcmp(argv[1], "make") && strcmp(argv[1], "check"))) {
		fprintf(stderr, "usage: files make|check DIR NR\n");
		return 2;
	}
	if (chdir(argv[2])) {
		perror(argv[2]);
		return 2;
	}
	return all(argv[1], strtoul(argv[3], NULL, 0));
}
