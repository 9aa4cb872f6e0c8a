/* SPDX-License-Identifier: GPL-2.0 */
/* Directories of small files that lead to each other, made from an input. */
#ifndef _VHD_FUZZ_FILES_H
#define _VHD_FUZZ_FILES_H

#include "fuzz.h"

#define FUZZ_FILES	4

/* DIR/in, where parents may be, DIR/out, where they may not; see fuzz_files_make(). */
struct fuzz_files {
	char dir[64];
	char path[FUZZ_FILES][96];
};

void fuzz_files_init(struct fuzz_files *f);
void fuzz_files_make(struct fuzz_files *f, struct fuzz_input *in);
void fuzz_files_remove(struct fuzz_files *f);
int fuzz_message(FILE *to, const char *format, ...);

#endif /* _VHD_FUZZ_FILES_H */
