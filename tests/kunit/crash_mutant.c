// SPDX-License-Identifier: GPL-2.0
/*
 * Planners with bugs, made from the plans that the real one has been seen to make:
 * each kind of step left out, or moved over the barrier before or behind it.
 */
#include <kunit/test.h>

#include "crash_model.h"

struct equivalent {
	struct cm_mutant mutant;
	const char *reason;
};

/* Mutants that no crash can tell from the planner. One that is killed is no such. */
static const struct equivalent equivalents[] = {
	{ { { VHD_PLAN_EXTEND, VHD_STEP_RESERVE, 0 }, CM_ALL, CM_DROP },
	  "a reserve changes no sector; without it a later write may find no space" },
	{ { { VHD_PLAN_EXTEND, VHD_STEP_RESERVE, 0 }, CM_ALL, CM_LATE },
	  "a reserve changes no sector; without it a later write may find no space" },
};

static bool same_role(const struct cm_role *a, const struct cm_role *b)
{
	return a->plan == b->plan && a->step == b->step && a->barriers == b->barriers;
}

static void see_step(struct cm_seen_roles *seen, const struct cm_role *role, u32 nr)
{
	u32 i;

	for (i = 0; i < seen->nr && !same_role(&seen->role[i].role, role); i++)
		;
	if (i == CM_ROLES)
		return;
	if (i == seen->nr)
		seen->role[seen->nr++] = (struct cm_seen){ .role = *role };
	seen->role[i].most = max_t(u32, seen->role[i].most, nr);
}

/**
 * cm_see_plan() - remember what kinds of steps a plan has
 * @seen:	everything seen so far
 * @run:	the plan
 */
void cm_see_plan(struct cm_seen_roles *seen, const struct cm_run *run)
{
	struct cm_role role = { .plan = run->kind };
	u32 i, j, nr;

	for (i = 0; i < run->nr; i++) {
		role.step = run->step[i].kind;
		nr = 1;
		for (j = i; j && run->step[j - 1].kind != VHD_STEP_BARRIER; j--)
			nr += run->step[j - 1].kind == role.step;
		see_step(seen, &role, nr);
		role.barriers += role.step == VHD_STEP_BARRIER;
	}
}

static void mark(const struct cm_mutant *mutant, const struct cm_run *run, bool *hit)
{
	struct cm_role role = { .plan = run->kind };
	u32 i, nr = 0, last = 0;

	for (i = 0; i < run->nr; i++) {
		role.step = run->step[i].kind;
		hit[i] = same_role(&role, &mutant->role) &&
			 (mutant->pick != CM_FIRST || !nr);
		if (same_role(&role, &mutant->role)) {
			nr++;
			last = i;
		}
		role.barriers += role.step == VHD_STEP_BARRIER;
	}
	for (i = 0; i < run->nr && mutant->pick == CM_LAST; i++)
		hit[i] = nr && i == last;
}

static void emit(struct cm_run *out, const struct vhd_step *step)
{
	if (out->nr < CM_STEPS)
		out->step[out->nr++] = *step;
}

/* The steps that were hit, behind or before whose barrier we are. */
static void emit_moved(struct cm_run *out, const struct cm_run *run, const bool *hit)
{
	u32 i;

	for (i = 0; i < run->nr; i++)
		if (hit[i])
			emit(out, &run->step[i]);
}

/**
 * cm_mutate() - put a bug into a plan
 * @mutant:	the bug
 * @run:	the plan; not changed if the bug is about others
 */
void cm_mutate(const struct cm_mutant *mutant, struct cm_run *run)
{
	struct cm_run out = { .kind = run->kind };
	u32 target = mutant->role.barriers - (mutant->action == CM_EARLY), i, barriers = 0;
	bool hit[CM_STEPS], moved = mutant->action == CM_DROP;

	mark(mutant, run, hit);
	for (i = 0; i < run->nr; i++) {
		bool here = run->step[i].kind == VHD_STEP_BARRIER && barriers++ == target;

		if (here && mutant->action == CM_EARLY)
			emit_moved(&out, run, hit);
		if (!hit[i])
			emit(&out, &run->step[i]);
		if (here && mutant->action == CM_LATE)
			emit_moved(&out, run, hit);
		moved |= here;
	}
	for (i = 0; i < run->nr && !moved; i++) {
		if (!hit[i])
			continue;
		out.late = true;
		out.late_step = run->step[i];
	}
	*run = out;
}

static u32 add_mutants(const struct cm_role *role, enum cm_pick pick, struct cm_mutant *mutant,
		       u32 nr)
{
	enum cm_action action;

	for (action = CM_DROP; action <= CM_LATE && nr < CM_MUTANTS; action++) {
		if (action != CM_DROP && role->step == VHD_STEP_BARRIER)
			continue;
		if (action == CM_EARLY && !role->barriers)
			continue;
		mutant[nr++] = (struct cm_mutant){
			.role = *role, .pick = pick, .action = action
		};
	}
	return nr;
}

/**
 * cm_make_mutants() - all bugs of our kinds that the planner could have
 * @seen:	what its plans look like
 * @mutant:	filled; room for CM_MUTANTS
 *
 * Return: how many there are.
 */
u32 cm_make_mutants(const struct cm_seen_roles *seen, struct cm_mutant *mutant)
{
	enum cm_pick pick;
	u32 i, nr = 0;

	for (i = 0; i < seen->nr; i++)
		for (pick = CM_ALL; pick <= CM_LAST; pick++)
			if (pick == CM_ALL || seen->role[i].most > 1)
				nr = add_mutants(&seen->role[i].role, pick, mutant, nr);
	return nr;
}

/**
 * cm_equivalent() - can no crash tell a mutant from the planner
 * @mutant: the mutant
 *
 * Return: why not, or NULL.
 */
const char *cm_equivalent(const struct cm_mutant *mutant)
{
	const struct cm_mutant *m;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(equivalents); i++) {
		m = &equivalents[i].mutant;
		if (same_role(&m->role, &mutant->role) && m->pick == mutant->pick &&
		    m->action == mutant->action)
			return equivalents[i].reason;
	}
	return NULL;
}

/**
 * cm_nr_equivalents() - how many mutants are listed as such
 */
u32 cm_nr_equivalents(void)
{
	return ARRAY_SIZE(equivalents);
}

/**
 * cm_describe() - a mutant in words
 * @mutant:	it
 * @text:	filled
 * @size:	of @text
 */
void cm_describe(const struct cm_mutant *mutant, char *text, size_t size)
{
	static const char * const plan[] = {
		[VHD_PLAN_COMMIT] = "commit", [VHD_PLAN_EXTEND] = "extend",
		[VHD_PLAN_TRIM] = "trim", [VHD_PLAN_FOOTERS] = "footers",
		[VHD_PLAN_MOVE] = "move",
	};
	static const char * const step[] = {
		[VHD_STEP_BITMAP] = "bitmaps", [VHD_STEP_BAT] = "BAT",
		[VHD_STEP_FOOTER] = "footer", [VHD_STEP_FOOTER_COPY] = "copy",
		[VHD_STEP_ZERO] = "zeros", [VHD_STEP_RESERVE] = "reserve",
		[VHD_STEP_TRUNCATE] = "truncation", [VHD_STEP_BARRIER] = "barrier",
	};
	static const char * const pick[] = { "all", "the first", "the last" };
	static const char * const action[] = { "left out", "too early", "too late" };

	scnprintf(text, size, "%s: %s %s behind %u barriers %s", plan[mutant->role.plan],
		  pick[mutant->pick], step[mutant->role.step], mutant->role.barriers,
		  action[mutant->action]);
}

/**
 * cm_kill() - look for a crash that shows a bug
 * @m:		a model, filled; its last run is the one that did
 * @p:		how to run, with the mutant; its seed and type do not count
 * @seeds:	runs to try
 *
 * Return: the run that showed it, counted from 1, or 0.
 */
u32 cm_kill(struct cm *m, const struct cm_params *p, u32 seeds)
{
	struct cm_params params = *p;

	for (params.seed = 1; params.seed <= seeds; params.seed++) {
		params.type = params.seed & 1 ? VHD_TYPE_DIFFERENCING : VHD_TYPE_DYNAMIC;
		cm_run(m, &params);
		if (m->bad)
			return m->broken ? 0 : params.seed;
	}
	return 0;
}
