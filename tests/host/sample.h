/* SPDX-License-Identifier: GPL-2.0 */
/* Crash states as files, for programs that know nothing of the model. */
#ifndef _SAMPLE_H
#define _SAMPLE_H

#include "crash_model.h"

void sample_open(const char *dir, u32 every);
void sample_state(struct cm *m);
bool sample_close(void);

#endif /* _SAMPLE_H */
