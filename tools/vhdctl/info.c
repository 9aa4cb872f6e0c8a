// SPDX-License-Identifier: GPL-2.0
/* vhdctl info: what an image says about itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "chain.h"
#include "print.h"

static void show_time(struct out *o, const char *key, const char *label, u32 stamp)
{
	time_t t = stamp + VHD_EPOCH;
	struct tm tm;
	char text[32];

	if (!gmtime_r(&t, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
		return;
	out_string(o, key, label, text);
}

static void show_id(struct out *o, const char *key, const char *label, const u8 *id)
{
	char text[UUID_STR_LEN];

	uuid_unparse_lower(id, text);
	out_string(o, key, label, text);
}

/* Four characters, some of which may be NUL: they end the text. */
static void show_code(struct out *o, const char *key, const char *label, const char *code)
{
	char text[5] = "";

	memcpy(text, code, 4);
	out_string(o, key, label, text);
}

static void show_footer(struct out *o, const struct image *img)
{
	static const char * const places[] = {
		[VHD_FOOTER_END] = "end", [VHD_FOOTER_SHORT] = "end, 511 bytes",
		[VHD_FOOTER_COPY] = "copy at 0",
	};
	const struct vhd_footer *f = &img->footer;
	char text[48];
	u32 v = be32_to_cpu(f->creator_version);

	show_id(o, "id", "id", f->uuid);
	show_code(o, "creator", "creator", f->creator_app);
	snprintf(text, sizeof(text), "%u.%u", v >> 16, v & 0xffff);
	out_string(o, "creator_version", "creator version", text);
	show_code(o, "creator_os", "creator system", f->creator_os);
	show_time(o, "created", "created", be32_to_cpu(f->timestamp));
	out_bytes(o, "original_size", NULL, be64_to_cpu(f->original_size));
	out_bytes(o, "current_size", NULL, be64_to_cpu(f->current_size));
	snprintf(text, sizeof(text), "%u/%u/%u", be16_to_cpu(f->cylinders), f->heads, f->spt);
	out_string(o, "geometry", "geometry (C/H/S)", text);
	out_string(o, "footer", "footer used", places[img->choice.place]);
	out_bool(o, "footers_differ", NULL, img->choice.differ);
	if (img->choice.differ)
		out_text(o, "note", "the other footer is bad or different; see 'vhdctl check'");
	out_bool(o, "saved_state", f->saved_state ? "saved state" : NULL, f->saved_state);
}

static void show_blocks(struct out *o, const struct image *img)
{
	const struct vhd_layout *l = &img->layout;

	out_bytes(o, "block_size", l->block_sects ? "block size" : NULL,
		  l->block_sects << VHD_SECTOR_SHIFT);
	out_number(o, "blocks", NULL, l->entries);
	out_number(o, "allocated", NULL, img->allocated);
	out_number(o, "misaligned", NULL, img->misaligned);
	if (!l->block_sects)
		return;
	out_text(o, "blocks allocated", "%u of %u", img->allocated, l->entries);
	out_alignment(o, img->misaligned, img->allocated);
	if (l->batmap_sects)
		out_text(o, "batmap", "at sector %llu", l->batmap_sect);
}

/* Whether a place exists is for those to know who may look there. */
static bool may_look(const struct image *img, const struct options *o)
{
	return !o->nr_parent_dirs && !o->no_locators && img->choice.place != VHD_FOOTER_COPY;
}

static void show_places(struct out *o, const struct path_list *places, const char *found,
			bool look)
{
	unsigned int i;

	out_begin_array(o, "paths", NULL);
	for (i = 0; i < places->nr; i++) {
		const struct path_try *t = &places->v[i];

		out_string(o, NULL, NULL, t->path);
		out_text(o, t->source, "%s%s", t->path,
			 found && !strcmp(found, t->path) ? " (this is it)" :
			 look && access(t->path, F_OK) ? " (does not exist)" : "");
	}
	out_end_array(o);
}

static void show_parent(struct out *o, struct image *img, const struct options *opts)
{
	struct path_list places = { 0 };
	char name[1024], *found;

	if (img->layout.type != VHD_TYPE_DIFFERENCING) {
		out_string(o, "parent", NULL, NULL);
		return;
	}
	paths_of_parent(img, &places);
	found = search_path(img, opts);
	out_begin(o, "parent", "parent");
	show_id(o, "id", "id", img->header.parent_uuid);
	parent_name(img, name, sizeof(name));
	out_string(o, "name", "name", name);
	show_time(o, "timestamp", "time stamp", be32_to_cpu(img->header.parent_timestamp));
	show_places(o, &places, found, may_look(img, opts));
	out_string(o, "file", "file", found);
	if (vhd_link_is_raw(&img->footer, &img->header))
		out_text(o, "file", "a raw disk, to be named with --parent");
	else if (!found)
		out_text(o, "file", "not found");
	out_end(o);
	free(found);
	paths_free(&places);
}

static int show_image(struct out *o, struct image *img, const struct options *opts)
{
	const struct vhd_layout *l = &img->layout;
	int ret = image_load_bat(img, NULL, NULL);

	if (ret)
		return image_report(img, 0, ret);
	out_string(o, "file", "file", img->path);
	out_string(o, "type", "type", type_name(img->raw ? 0 : l->type));
	out_bytes(o, "size", "disk size", l->capacity << VHD_SECTOR_SHIFT);
	out_bytes(o, "file_size", "file size", img->size);
	if (img->raw) {
		out_string(o, "id", NULL, NULL);
		return VHDCTL_OK;
	}
	out_string(o, "size_from", NULL,
		   vhd_footer_size_is_chs(&img->footer, opts->size_rule) ? "chs" : "current");
	show_footer(o, img);
	show_blocks(o, img);
	show_parent(o, img, opts);
	return VHDCTL_OK;
}

static int info_chain(struct chain *c, const struct options *opts)
{
	struct out o = { .json = opts->json };
	unsigned int i;
	char label[32];
	int ret = chain_resolve(c, opts), shown = VHDCTL_OK;

	out_begin(&o, NULL, NULL);
	out_begin_array(&o, "chain", NULL);
	for (i = 0; i < c->nr && !shown; i++) {
		snprintf(label, sizeof(label), "layer %u", i);
		out_begin(&o, NULL, label);
		shown = show_image(&o, c->layer[i], opts);
		out_end(&o);
	}
	out_end_array(&o);
	out_end(&o);
	chain_warn_times(c);
	return ret ? ret : shown;
}

/**
 * info_main() - describe an image, or every file of its chain
 * @opts:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int info_main(const struct options *opts)
{
	struct out o = { .json = opts->json };
	struct chain c = { .nr = 0 };
	int ret = chain_open_leaf(&c, opts->args[0], opts, false);

	if (ret && c.nr) {
		ret = image_report(c.layer[0], 0, ret);
	} else if (!ret && opts->chain) {
		ret = info_chain(&c, opts);
	} else if (!ret) {
		out_begin(&o, NULL, NULL);
		ret = show_image(&o, c.layer[0], opts);
		out_end(&o);
	}
	chain_close(&c);
	return ret;
}
