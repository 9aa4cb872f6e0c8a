// SPDX-License-Identifier: GPL-2.0
/* vhdctl status: files, state and counters of one device. */
#include <stdio.h>
#include <uuid/uuid.h>

#include "netlink.h"
#include "print.h"

static void show_layer(struct out *o, const struct device_layer *l, unsigned int i)
{
	char label[32], id[UUID_STR_LEN];

	snprintf(label, sizeof(label), "layer %u", i);
	out_begin(o, NULL, label);
	out_string(o, "file", "file", l->path);
	out_string(o, "type", "type", type_name((enum vhd_type)l->type));
	uuid_unparse_lower(l->uuid, id);
	out_string(o, "id", l->type ? "id" : NULL, id);
	out_bytes(o, "size", "disk size", l->capacity);
	out_number(o, "allocated", NULL, l->allocated);
	out_number(o, "blocks", NULL, l->blocks);
	if (l->block_size)
		out_text(o, "blocks allocated", "%u of %u", l->allocated, l->blocks);
	out_alignment(o, l->misaligned, l->allocated);
	out_bytes(o, "block_size", l->block_size ? "block size" : NULL, l->block_size);
	out_number(o, "misaligned", NULL, l->misaligned);
	out_bool(o, "read_only", NULL, l->flags & VHDBLK_LAYER_READ_ONLY);
	out_bool(o, "direct", "direct I/O", l->flags & VHDBLK_LAYER_DIRECT);
	out_end(o);
}

static void show_counters(struct out *o, const struct device *d)
{
	unsigned int i;

	out_begin(o, "counters", "counters");
	for (i = 1; i <= VHDBLK_A_COUNTERS_MAX; i++)
		if (counter_name(i))
			out_number(o, counter_name(i), counter_name(i), d->counters[i]);
	out_end(o);
}

static void show_state(struct out *o, const struct device *d)
{
	out_bool(o, "read_only", "read-only", d->flags & VHDBLK_DEVICE_READ_ONLY);
	out_bool(o, "autoclear", NULL, d->flags & VHDBLK_DEVICE_AUTOCLEAR);
	out_bool(o, "detaching", NULL, d->flags & VHDBLK_DEVICE_DETACHING);
	out_bool(o, "failed", NULL, d->flags & VHDBLK_DEVICE_FAILED);
	out_bool(o, "no_space", NULL, d->flags & VHDBLK_DEVICE_NO_SPACE);
	if (d->flags & VHDBLK_DEVICE_AUTOCLEAR)
		out_text(o, "autoclear", "detaches at the last close");
	if (d->flags & VHDBLK_DEVICE_DETACHING)
		out_text(o, "state", "detaching, waits for the last close");
	if (d->flags & VHDBLK_DEVICE_FAILED)
		out_text(o, "state", "FAILED: metadata not written; save your data, detach, check");
	if (d->flags & VHDBLK_DEVICE_NO_SPACE)
		out_text(o, "state", "NO SPACE: new blocks fail until the file system has room");
}

static void show_device(const struct options *opts, const struct device *d)
{
	struct out o = { .json = opts->json };
	unsigned int i;

	out_begin(&o, NULL, NULL);
	out_number(&o, "index", NULL, d->index);
	out_string(&o, "device", "device", d->path);
	out_string(&o, "name", "name", d->name[0] ? d->name : NULL);
	out_bytes(&o, "size", "disk size", d->capacity);
	show_state(&o, d);
	out_number(&o, "block_size", NULL, d->block_size);
	out_number(&o, "depth", "files in the chain", d->nr_layers);
	out_begin_array(&o, "layers", NULL);
	for (i = 0; i < d->nr_layers; i++)
		show_layer(&o, &d->layer[i], i);
	out_end_array(&o);
	show_counters(&o, d);
	out_end(&o);
}

/**
 * status_main() - describe one device, or show its rates with --watch
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int status_main(const struct options *o)
{
	struct device *d;
	int ret = device_find(o->args[0], &d);

	if (ret)
		return ret;
	if (o->watch)
		ret = watch_device(d, o->watch_ms, o->json);
	else
		show_device(o, d);
	device_free(d);
	return ret;
}
