// SPDX-License-Identifier: GPL-2.0
/* A line of vhdtab: name, file, options. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vhdtab.h"

/* So long a name the driver takes. */
#define NAME_MAX_BYTES	63

static const char name_bytes[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789#+-.:=@_";

enum kind { SWITCH, VALUE, PATH };

/* What vhdctl attach has, too, and is named alike there. */
static const struct passed {
	const char *name;
	const char *option;
	enum kind kind;
} passed[] = {
	{ "ro", "--read-only", SWITCH },
	{ "read-only", "--read-only", SWITCH },
	{ "no-locators", "--no-locators", SWITCH },
	{ "ignore-id-mismatch", "--ignore-id-mismatch", SWITCH },
	{ "no-partscan", "--no-partscan", SWITCH },
	{ "parent", "--parent", PATH },
	{ "parents-in", "--parents-in", PATH },
	{ "max-depth", "--max-depth", VALUE },
	{ "size", "--size", VALUE },
	{ "cache", "--cache", VALUE },
	{ "submit", "--submit", VALUE },
};

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' &&
	       s[2] <= '7';
}

/* As in fstab(5): \040 is a space that separates nothing. */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (*s == '\\' && is_octal(s + 1)) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = 0;
}

static bool has_control(const char *s)
{
	for (; *s; s++)
		if (iscntrl((unsigned char)*s))
			return true;
	return false;
}

/* The link in /dev/disk/by-vhd has to be called exactly so. */
static bool is_good_name(const char *s)
{
	size_t len = strlen(s);

	return len && len <= NAME_MAX_BYTES && s[0] != '.' && strspn(s, name_bytes) == len;
}

static int bad_path(const struct entry *e, const char *what, const char *path)
{
	if (path[0] == '/' && !has_control(path))
		return 0;
	complain(e->file, e->line, "%s '%s' is not an absolute path", what, path);
	return -EINVAL;
}

static int add_need(struct entry *e, const char *what, const char *path)
{
	int ret = bad_path(e, what, path);

	if (!ret)
		e->needs[e->nr_needs++] = strdup(path);
	return ret;
}

static int pass_on(struct entry *e, const struct passed *p, const char *value)
{
	int ret = p->kind == PATH ? add_need(e, p->name, value) : 0;

	if (ret)
		return ret;
	if (p->kind != SWITCH && (!*value || has_control(value))) {
		complain(e->file, e->line, "option '%s' needs a value", p->name);
		return -EINVAL;
	}
	e->arg[e->nr_args++] = strdup(p->option);
	if (p->kind != SWITCH)
		e->arg[e->nr_args++] = strdup(value);
	return 0;
}

static int set_timeout(struct entry *e, const char *value)
{
	/* What a time span of systemd.time(7) is made of. */
	if (!*value || strspn(value, "0123456789. abcdefghijklmnopqrstuvwxyzM") != strlen(value)) {
		complain(e->file, e->line, "'%s' is not a time", value);
		return -EINVAL;
	}
	free(e->timeout);
	e->timeout = strdup(value);
	return 0;
}

/* Those about the unit, not about the disk. Return: 1 if it is none of them. */
static int unit_option(struct entry *e, const char *name, const char *value)
{
	static const struct {
		const char *name;
		size_t flag;
		bool on;
	} flags[] = {
		{ "nofail", offsetof(struct entry, nofail), true },
		{ "fail", offsetof(struct entry, nofail), false },
		{ "noauto", offsetof(struct entry, noauto), true },
		{ "auto", offsetof(struct entry, noauto), false },
		{ "_netdev", offsetof(struct entry, remote), true },
	};
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (value || strcmp(name, flags[i].name))
			continue;
		*(bool *)((char *)e + flags[i].flag) = flags[i].on;
		return 0;
	}
	if (!strcmp(name, "x-systemd.device-timeout"))
		return set_timeout(e, value ? value : "");
	if (!strcmp(name, "x-systemd.requires-mounts-for"))
		return add_need(e, name, value ? value : "");
	/* For other programs; and what stands for no option at all. */
	return strncmp(name, "x-", 2) && (value || strcmp(name, "defaults"));
}

/*
 * A word that is not understood may have been "ro": attaching without it could do harm,
 * so such a line attaches nothing.
 */
static int one_option(struct entry *e, char *name)
{
	char *value = strchr(name, '=');
	size_t i;
	int ret;

	if (value)
		*value++ = 0;
	ret = unit_option(e, name, value);
	if (ret <= 0)
		return ret;
	for (i = 0; i < sizeof(passed) / sizeof(*passed); i++) {
		if (strcmp(name, passed[i].name))
			continue;
		if (passed[i].kind != SWITCH || !value)
			return pass_on(e, &passed[i], value ? value : "");
		complain(e->file, e->line, "option '%s' takes no value", name);
		return -EINVAL;
	}
	complain(e->file, e->line, "unknown option '%s'", name);
	return -EINVAL;
}

static int parse_options(struct entry *e, char *text)
{
	unsigned int nr = 0;
	char *rest, *word;
	int ret = 0;

	for (word = strtok_r(text, ",", &rest); word && !ret; word = strtok_r(NULL, ",", &rest)) {
		/* One place for the image, and two arguments an option. */
		if (++nr >= VHDTAB_MAX_OPTIONS) {
			complain(e->file, e->line, "more than %d options", VHDTAB_MAX_OPTIONS - 1);
			return -EINVAL;
		}
		unescape(word);
		ret = one_option(e, word);
	}
	return ret;
}

/**
 * parse_line() - take a line apart
 * @e:		empty but for file and line
 * @text:	the line; not a comment; changed
 *
 * Return: 0, or a negative errno after a message.
 */
int parse_line(struct entry *e, char *text)
{
	static const char space[] = " \t\r\n";
	char *rest, *name = strtok_r(text, space, &rest);
	char *image = strtok_r(NULL, space, &rest), *options = strtok_r(NULL, space, &rest);

	if (!image) {
		complain(e->file, e->line, "'%s' has no file", name);
		return -EINVAL;
	}
	if (strtok_r(NULL, space, &rest)) {
		complain(e->file, e->line, "more than three fields; a space is written \\040");
		return -EINVAL;
	}
	unescape(name);
	unescape(image);
	if (!is_good_name(name)) {
		complain(e->file, e->line,
			 "name '%s': up to %d of A-Z a-z 0-9 # + - . : = @ _, not a dot first",
			 name, NAME_MAX_BYTES);
		return -EINVAL;
	}
	e->name = strdup(name);
	e->image = strdup(image);
	if (add_need(e, "file", image))
		return -EINVAL;
	return options && strcmp(options, "-") ? parse_options(e, options) : 0;
}

/**
 * entry_clear() - free what a line has become
 * @e:	empty afterwards
 */
void entry_clear(struct entry *e)
{
	while (e->nr_args)
		free(e->arg[--e->nr_args]);
	while (e->nr_needs)
		free(e->needs[--e->nr_needs]);
	free(e->timeout);
	free(e->image);
	free(e->name);
	memset(e, 0, sizeof(*e));
}
