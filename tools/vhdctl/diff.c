// SPDX-License-Identifier: GPL-2.0
/* vhdctl diff: the runs in which two disks differ. */
#include <stdio.h>

#include "differ.h"
#include "print.h"

struct printer {
	struct out out;
	struct diff_run run;	/* not printed yet; none if it has no sectors */
	u64 length;		/* of @run in sectors, which may be more than it can hold */
	u64 differ;
};

static const char *word(enum vhd_answer answer)
{
	return answer == VHD_DATA ? "data" : "zero";
}

static void print_run(struct printer *p)
{
	u64 start = p->run.start << VHD_SECTOR_SHIFT, length = p->length << VHD_SECTOR_SHIFT;
	struct out *o = &p->out;

	if (!p->length)
		return;
	if (!o->json) {
		printf("%15llu %15llu %-4s %-4s\n", start, length, word(p->run.a),
		       word(p->run.b));
		return;
	}
	out_begin(o, NULL, NULL);
	out_number(o, "start", NULL, start);
	out_number(o, "length", NULL, length);
	out_string(o, "a", NULL, word(p->run.a));
	out_string(o, "b", NULL, word(p->run.b));
	out_end(o);
}

static int add_run(void *ctx, const struct diff_run *run)
{
	struct printer *p = ctx;

	if (!p->out.json && !p->differ)
		printf("%15s %15s %-4s %-4s\n", "START", "LENGTH", "A", "B");
	p->differ += run->sects;
	if (p->length && p->run.start + p->length == run->start && p->run.a == run->a &&
	    p->run.b == run->b) {
		p->length += run->sects;
		return VHDCTL_OK;
	}
	print_run(p);
	p->run = *run;
	p->length = run->sects;
	return VHDCTL_OK;
}

static void describe(struct out *o, const char *key, const struct image *img)
{
	out_begin(o, key, NULL);
	out_string(o, "file", NULL, img->path);
	out_number(o, "size", NULL, img->layout.capacity << VHD_SECTOR_SHIFT);
	out_end(o);
}

/* Of disks that are not of one size, the larger has more than zeros behind. */
static int print_diff(struct chain *a, struct chain *b, const struct options *opts)
{
	u64 size_a = a->layer[0]->layout.capacity, size_b = b->layer[0]->layout.capacity;
	struct printer p = { .out.json = opts->json };
	struct out *o = &p.out;
	int ret;

	out_begin(o, NULL, NULL);
	describe(o, "a", a->layer[0]);
	describe(o, "b", b->layer[0]);
	out_begin_array(o, "runs", NULL);
	ret = diff_disks(a, b, size_a > size_b ? size_a : size_b, add_run, &p,
			 opts->progress);
	print_run(&p);
	out_end_array(o);
	out_number(o, "differ", NULL, p.differ << VHD_SECTOR_SHIFT);
	out_bool(o, "same", NULL, !ret && !p.differ && size_a == size_b);
	out_end(o);
	if (ret)
		return ret;
	if (size_a != size_b)
		msg_warning("the disks have %llu and %llu bytes", size_a << VHD_SECTOR_SHIFT,
			    size_b << VHD_SECTOR_SHIFT);
	return p.differ || size_a != size_b ? VHDCTL_DIFFER : VHDCTL_OK;
}

/**
 * diff_main() - print where two disks differ
 * @o:	command line
 *
 * Return: &enum vhdctl_exit; VHDCTL_DIFFER if they do.
 */
int diff_main(const struct options *o)
{
	struct chain a = { .nr = 0 }, b = { .nr = 0 };
	int ret = chain_open(&a, o->args[0], o, false);

	if (!ret)
		ret = chain_open(&b, o->args[1], o, false);
	if (!ret)
		ret = chain_load_bats(&a);
	if (!ret)
		ret = chain_load_bats(&b);
	if (!ret)
		ret = print_diff(&a, &b, o);
	chain_close(&b);
	chain_close(&a);
	return ret;
}
