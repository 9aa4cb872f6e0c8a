// SPDX-License-Identifier: GPL-2.0
/* Messages of the family as structures. */
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netlink.h"

static u32 get_u32(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) < sizeof(u32) ? 0 : mnl_attr_get_u32(a);
}

static u64 get_u64(const struct nlattr *a)
{
	return mnl_attr_get_payload_len(a) < sizeof(u64) ? 0 : mnl_attr_get_u64(a);
}

static void get_text(const struct nlattr *a, char *text, size_t size)
{
	size_t len = strnlen(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));

	if (len >= size)
		len = size - 1;
	memcpy(text, mnl_attr_get_payload(a), len);
	text[len] = 0;
}

static void decode_layer_attr(struct device_layer *l, const struct nlattr *a)
{
	switch (mnl_attr_get_type(a)) {
	case VHDBLK_A_LAYER_FLAGS:
		l->flags = get_u32(a);
		break;
	case VHDBLK_A_LAYER_PATH:
		free(l->path);
		l->path = strndup(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
		break;
	case VHDBLK_A_LAYER_TYPE:
		l->type = get_u32(a);
		break;
	case VHDBLK_A_LAYER_UUID:
		if (mnl_attr_get_payload_len(a) >= sizeof(l->uuid))
			memcpy(l->uuid, mnl_attr_get_payload(a), sizeof(l->uuid));
		break;
	case VHDBLK_A_LAYER_CAPACITY:
		l->capacity = get_u64(a);
		break;
	case VHDBLK_A_LAYER_ALLOCATED:
		l->allocated = get_u32(a);
		break;
	case VHDBLK_A_LAYER_BLOCKS:
		l->blocks = get_u32(a);
		break;
	case VHDBLK_A_LAYER_BLOCK_SIZE:
		l->block_size = get_u32(a);
		break;
	case VHDBLK_A_LAYER_MISALIGNED:
		l->misaligned = get_u32(a);
		break;
	}
}

static void decode_layer(struct device *d, const struct nlattr *nest)
{
	struct device_layer *bigger;
	const struct nlattr *a;

	bigger = reallocarray(d->layer, d->nr_layers + 1, sizeof(*bigger));
	if (!bigger)
		return;
	d->layer = bigger;
	memset(&bigger[d->nr_layers], 0, sizeof(*bigger));
	mnl_attr_for_each_nested(a, nest)
		decode_layer_attr(&bigger[d->nr_layers], a);
	if (!bigger[d->nr_layers].path)
		bigger[d->nr_layers].path = strdup("?");
	d->nr_layers++;
}

static void decode_counters(struct device *d, const struct nlattr *nest)
{
	const struct nlattr *a;

	mnl_attr_for_each_nested(a, nest)
		if (mnl_attr_get_type(a) <= VHDBLK_A_COUNTERS_MAX)
			d->counters[mnl_attr_get_type(a)] = get_u64(a);
}

static u32 *number_of(struct device *d, unsigned int type)
{
	switch (type) {
	case VHDBLK_A_INDEX:
		return &d->index;
	case VHDBLK_A_JOB:
		return &d->job;
	case VHDBLK_A_FLAGS:
		return &d->flags;
	case VHDBLK_A_SIZE_RULE:
		return &d->size_rule;
	case VHDBLK_A_BLOCK_SIZE:
		return &d->block_size;
	case VHDBLK_A_EVENT:
		return &d->event;
	case VHDBLK_A_FAULT:
		return &d->fault;
	case VHDBLK_A_FAULT_LAYER:
		return &d->fault_layer;
	case VHDBLK_A_DONE:
		return &d->done;
	case VHDBLK_A_MAJOR:
		return &d->major;
	case VHDBLK_A_MINOR:
		return &d->minor;
	case VHDBLK_A_ERROR:
		return (u32 *)&d->error;
	}
	return NULL;
}

static void decode_other(struct device *d, const struct nlattr *a)
{
	switch (mnl_attr_get_type(a)) {
	case VHDBLK_A_NAME:
		get_text(a, d->name, sizeof(d->name));
		break;
	case VHDBLK_A_TEXT:
		get_text(a, d->text, sizeof(d->text));
		break;
	case VHDBLK_A_CAPACITY:
		d->capacity = get_u64(a);
		break;
	case VHDBLK_A_COUNTERS:
		decode_counters(d, a);
		break;
	case VHDBLK_A_LAYER:
		decode_layer(d, a);
		break;
	}
}

static void decode_attr(struct device *d, const struct nlattr *a)
{
	unsigned int type = mnl_attr_get_type(a);
	u32 *number = number_of(d, type);

	if (number)
		*number = get_u32(a);
	else
		decode_other(d, a);
	d->has_index |= type == VHDBLK_A_INDEX;
	d->has_fault_layer |= type == VHDBLK_A_FAULT_LAYER;
}

/**
 * device_decode() - read a message of the family
 * @nlh:	the message
 *
 * Return: To be freed by device_free(), NULL without memory.
 */
struct device *device_decode(const struct nlmsghdr *nlh)
{
	struct device *d = calloc(1, sizeof(*d));
	const struct nlattr *a;

	if (!d)
		return NULL;
	mnl_attr_for_each(a, nlh, sizeof(struct genlmsghdr))
		decode_attr(d, a);
	snprintf(d->path, sizeof(d->path), "/dev/vhd%u", d->index);
	return d;
}

static const struct counter {
	const char *name;
	enum counter_kind kind;
} counters[VHDBLK_A_COUNTERS_MAX + 1] = {
	[VHDBLK_A_COUNTERS_FAST] = { "fast", COUNTER_CLASS },
	[VHDBLK_A_COUNTERS_SLOW] = { "slow", COUNTER_CLASS },
	[VHDBLK_A_COUNTERS_HOLES] = { "holes", COUNTER_CLASS },
	[VHDBLK_A_COUNTERS_INLINE] = { "inline", COUNTER_CLASS },
	[VHDBLK_A_COUNTERS_RESCUED] = { "rescued", COUNTER_EVENT },
	[VHDBLK_A_COUNTERS_ALLOCATIONS] = { "allocations", COUNTER_EVENT },
	[VHDBLK_A_COUNTERS_FREES] = { "frees", COUNTER_EVENT },
	[VHDBLK_A_COUNTERS_RESOLVES] = { "resolves", COUNTER_EVENT },
	[VHDBLK_A_COUNTERS_COMMITS] = { "commits", COUNTER_EVENT },
	[VHDBLK_A_COUNTERS_FLUSHES] = { "flushes", COUNTER_EVENT },
	[VHDBLK_A_COUNTERS_FSYNCS] = { "fsyncs", COUNTER_EVENT },
	[VHDBLK_A_COUNTERS_EXTENSIONS] = { "extensions", COUNTER_EVENT },
	[VHDBLK_A_COUNTERS_IO_ERRORS] = { "io_errors", COUNTER_EVENT },
	[VHDBLK_A_COUNTERS_MAP_BYTES] = { "map_bytes", COUNTER_LEVEL },
	[VHDBLK_A_COUNTERS_CACHE_BYTES] = { "cache_bytes", COUNTER_LEVEL },
	[VHDBLK_A_COUNTERS_CACHE_MAX] = { "cache_max", COUNTER_LEVEL },
};

/**
 * counter_name() - the name of a counter in JSON and text
 * @attr:	VHDBLK_A_COUNTERS_*
 *
 * Return: NULL if there is none of that number.
 */
const char *counter_name(unsigned int attr)
{
	return attr <= VHDBLK_A_COUNTERS_MAX ? counters[attr].name : NULL;
}

/**
 * counter_kind() - what a counter counts
 * @attr:	VHDBLK_A_COUNTERS_*
 *
 * Return: COUNTER_NONE if there is none of that number.
 */
enum counter_kind counter_kind(unsigned int attr)
{
	return attr <= VHDBLK_A_COUNTERS_MAX ? counters[attr].kind : COUNTER_NONE;
}
