// SPDX-License-Identifier: GPL-2.0
/* How far a long command is. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "convert.h"
#include "print.h"

#define REDRAW_MS	250

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

/**
 * progress_start() - begin
 * @p:		result
 * @wanted:	false for silence
 */
void progress_start(struct progress *p, bool wanted)
{
	memset(p, 0, sizeof(*p));
	p->wanted = wanted;
	p->terminal = isatty(STDERR_FILENO);
}

/* A log gets ten lines and no more. */
static bool is_time(struct progress *p, unsigned int tenths)
{
	u64 now;

	if (!p->terminal) {
		if (tenths <= p->shown)
			return false;
		p->shown = tenths;
		return true;
	}
	now = now_ms();
	if (now < p->next_ms)
		return false;
	p->next_ms = now + REDRAW_MS;
	return true;
}

/**
 * progress_show() - say how far it is, if it is time to
 * @p:		from progress_start()
 * @done:	bytes
 * @size:	bytes in all, 0 if nobody knows
 */
void progress_show(struct progress *p, u64 done, u64 size)
{
	unsigned int percent = size ? done * 100.0 / size : 0;
	char text[32];

	if (!p->wanted || !is_time(p, percent / 10))
		return;
	human_size(done, text);
	if (p->terminal && !size)
		fprintf(stderr, "\r%s \033[K", text);
	else if (p->terminal)
		fprintf(stderr, "\r%3u %%  %s \033[K", percent, text);
	else
		fprintf(stderr, "%u %% (%s)\n", percent, text);
}

/**
 * progress_end() - leave the last word standing
 * @p:		from progress_start()
 * @done:	bytes
 */
void progress_end(struct progress *p, u64 done)
{
	char text[32];

	if (!p->wanted)
		return;
	fprintf(stderr, "%s%s done%s\n", p->terminal ? "\r" : "", human_size(done, text),
		p->terminal ? " \033[K" : "");
}
