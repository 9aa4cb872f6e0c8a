// SPDX-License-Identifier: GPL-2.0
/* vhdctl set: another parent, unique id or other fields of a file that is not attached. */
#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "edit.h"
#include "relink.h"

/* libvhd's mark, in the first of the reserved bytes. */
#define HIDDEN_BYTE	0

static int set_uuid(struct vhd_footer *f, const char *text)
{
	uuid_t id;

	if (!strcmp(text, "new")) {
		uuid_generate(id);
	} else if (uuid_parse(text, id)) {
		msg_error("--uuid does not take '%s'", text);
		msg_hint("it takes the word new, or an id as 'vhdctl info' prints it");
		return VHDCTL_ERROR;
	} else if (uuid_is_null(id)) {
		msg_error("a file with the id 0 could be nobody's parent");
		return VHDCTL_ERROR;
	}
	memcpy(f->uuid, id, sizeof(f->uuid));
	return VHDCTL_OK;
}

/*
 * Which size counts depends on the creator, which not every program knows. Ours is
 * one for which all of them take current_size.
 */
static int set_rule(struct vhd_footer *f, const struct image *img, const char *word)
{
	bool chs = !strcmp(word, "chs");
	u64 size = vhd_footer_size(f, chs ? VHD_SIZE_CHS : VHD_SIZE_CURRENT);
	struct vhd_footer_args args = {
		.type = img->layout.type, .size = size, .uuid = f->uuid,
	};
	struct vhd_footer fresh;
	struct vhd_layout l;
	u64 end = img->layout.end;

	vhd_footer_init(&fresh, &args);
	memcpy(f->creator_app, fresh.creator_app, sizeof(f->creator_app));
	memcpy(f->creator_os, fresh.creator_os, sizeof(f->creator_os));
	f->creator_version = fresh.creator_version;
	f->current_size = cpu_to_be64(size);
	if (!vhd_layout_init(&l, f, &img->header, end, VHD_SIZE_AUTO) &&
	    l.capacity == size >> VHD_SECTOR_SHIFT)
		return VHDCTL_OK;
	msg_error("%s: has no room for the %llu bytes that its geometry or size names",
		  img->path, size);
	return VHDCTL_CORRUPT;
}

static int new_footer(struct vhd_footer *f, const struct image *img, const struct options *o)
{
	int ret = VHDCTL_OK;

	*f = img->footer;
	if (o->uuid)
		ret = set_uuid(f, o->uuid);
	if (!ret && o->hidden)
		f->reserved[HIDDEN_BYTE] = !strcmp(o->hidden, "yes");
	if (!ret && o->new_rule)
		ret = set_rule(f, img, o->new_rule);
	vhd_footer_seal(f);
	return ret;
}

static void warn_children(const struct image *img, const u8 *old)
{
	char id[UUID_STR_LEN];

	uuid_unparse_lower(old, id);
	msg_warning("%s: its children, if any, name its old unique id and no longer find it",
		    img->path);
	msg_hint("for each child: vhdctl set --parent %s --ignore-id-mismatch CHILD", img->path);
	msg_hint("to give that one back: vhdctl set --uuid %s %s", id, img->path);
}

static int change(struct chain *c, struct chain *parents, const struct options *o)
{
	struct image *img = c->layer[0];
	const struct vhd_footer old = img->footer;
	struct vhd_footer f;
	int ret = new_footer(&f, img, o);

	if (!ret && parents->nr)
		ret = new_parent_check(c, parents, o);
	if (ret)
		return ret;
	ret = edit_footer(img, &f);
	if (ret)
		return edit_report(img, ret);
	if (memcmp(f.uuid, old.uuid, sizeof(f.uuid)))
		warn_children(img, old.uuid);
	return parents->nr ? relink_image(img, parents->layer[0]) : VHDCTL_OK;
}

/**
 * set_main() - change what a file says of itself
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int set_main(const struct options *o)
{
	struct chain c = { .nr = 0 }, parents = { .nr = 0 };
	int ret = VHDCTL_OK;

	if (!o->nr_parents && !o->uuid && !o->hidden && !o->new_rule) {
		msg_error("set: what? give --parent, --uuid, --hidden or --size-rule");
		return VHDCTL_ERROR;
	}
	if (o->nr_parents)
		ret = new_parent_open(&parents, o);
	if (!ret)
		ret = edit_open(&c, o->args[0], VHD_SIZE_AUTO);
	if (!ret)
		ret = change(&c, &parents, o);
	chain_close(&c);
	chain_close(&parents);
	return ret;
}
