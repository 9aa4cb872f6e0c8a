// SPDX-License-Identifier: GPL-2.0
/* Text and JSON from one description. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "print.h"

/* Length of the UTF-8 sequence at @s, 0 if it is not one. */
static int utf8_len(const unsigned char *s)
{
	int len = *s < 0x80 ? 1 : *s >= 0xc2 && *s < 0xe0 ? 2 : *s >= 0xe0 && *s < 0xf0 ? 3 :
		  *s >= 0xf0 && *s < 0xf5 ? 4 : 0;
	int i;

	for (i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

static void json_string(const char *value)
{
	const unsigned char *s = (const unsigned char *)value;
	int len;

	putchar('"');
	for (; *s; s += len ? len : 1) {
		len = utf8_len(s);
		if (!len)
			fputs("\\ufffd", stdout);
		else if (*s < 0x20 || *s == 0x7f)
			printf("\\u%04x", *s);
		else if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else
			fwrite(s, 1, len, stdout);
	}
	putchar('"');
}

static void indent(const struct out *o, int less)
{
	printf("%*s", 2 * ((int)o->depth - less), "");
}

static void new_line(const struct out *o)
{
	if (o->compact)
		return;
	putchar('\n');
	indent(o, 0);
}

/* Everything before the value of a JSON member. */
static void json_key(struct out *o, const char *key)
{
	if (!o->depth)
		return;
	if (o->nr[o->depth]++)
		putchar(',');
	new_line(o);
	if (key) {
		json_string(key);
		fputs(": ", stdout);
	}
}

static void text_label(const struct out *o, const char *label)
{
	int width = 22 - 2 * ((int)o->depth - 1);

	indent(o, 1);
	printf("%s:%*s", label, width - (int)strlen(label), "");
}

static void open_level(struct out *o, char bracket, const char *key, const char *label)
{
	if (o->json) {
		json_key(o, key);
		putchar(bracket);
	} else if (label && o->depth) {
		indent(o, 1);
		printf("%s\n", label);
	}
	o->depth++;
	o->nr[o->depth] = 0;
}

static void close_level(struct out *o, char bracket)
{
	bool empty = !o->nr[o->depth];

	o->depth--;
	if (!o->json)
		return;
	if (!empty)
		new_line(o);
	putchar(bracket);
	if (!o->depth)
		putchar('\n');
}

/**
 * out_begin() - begin an object, or the whole result
 * @o:		zeroed but for @json
 * @key:	its name, NULL in an array and for the whole
 * @label:	heading in text, NULL if none
 */
void out_begin(struct out *o, const char *key, const char *label)
{
	open_level(o, '{', key, label);
}

/**
 * out_end() - end what out_begin() began
 * @o:		the output
 */
void out_end(struct out *o)
{
	close_level(o, '}');
}

/**
 * out_begin_array() - begin an array
 * @o:		the output
 * @key:	its name
 * @label:	heading in text, NULL if none
 */
void out_begin_array(struct out *o, const char *key, const char *label)
{
	open_level(o, '[', key, label);
}

/**
 * out_end_array() - end what out_begin_array() began
 * @o:		the output
 */
void out_end_array(struct out *o)
{
	close_level(o, ']');
}

static void text_value(struct out *o, const char *label, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return;
	printable(copy);
	text_label(o, label);
	puts(copy);
	free(copy);
}

/**
 * out_string() - a member that is a string
 * @o:		the output
 * @key:	JSON name, NULL in an array
 * @label:	text label, NULL to leave it out of text
 * @value:	NULL is null in JSON, and nothing in text
 */
void out_string(struct out *o, const char *key, const char *label, const char *value)
{
	if (o->json) {
		json_key(o, key);
		if (value)
			json_string(value);
		else
			fputs("null", stdout);
	} else if (label && value) {
		text_value(o, label, value);
	}
}

/**
 * out_number() - a member that is a number
 * @o:		the output
 * @key:	JSON name
 * @label:	text label or NULL
 * @value:	the number
 */
void out_number(struct out *o, const char *key, const char *label, u64 value)
{
	if (o->json)
		json_key(o, key);
	else if (label)
		text_label(o, label);
	else
		return;
	printf("%llu%s", value, o->json ? "" : "\n");
}

/**
 * out_signed() - a member that may be negative
 * @o:		the output
 * @key:	JSON name
 * @label:	text label or NULL
 * @value:	the number
 */
void out_signed(struct out *o, const char *key, const char *label, s64 value)
{
	if (value >= 0) {
		out_number(o, key, label, value);
		return;
	}
	if (o->json)
		json_key(o, key);
	else if (label)
		text_label(o, label);
	else
		return;
	printf("%lld%s", value, o->json ? "" : "\n");
}

/**
 * out_milli() - a member that is a number with a fraction
 * @o:		the output
 * @key:	JSON name
 * @label:	text label or NULL
 * @thousandths: the number, times 1000
 */
void out_milli(struct out *o, const char *key, const char *label, u64 thousandths)
{
	if (o->json)
		json_key(o, key);
	else if (label)
		text_label(o, label);
	else
		return;
	printf("%llu.%03llu%s", thousandths / 1000, thousandths % 1000, o->json ? "" : "\n");
}

/**
 * human_size() - a number of bytes for people
 * @bytes:	the number
 * @buf:	at least 32 bytes
 *
 * Return: @buf.
 */
char *human_size(u64 bytes, char buf[32])
{
	static const char units[] = "BKMGTPE";
	int i = 0;
	u64 whole = bytes;
	unsigned int tenth = 0;

	while (whole >= 1024 && units[i + 1]) {
		tenth = (whole % 1024) * 10 / 1024;
		whole /= 1024;
		i++;
	}
	if (!i)
		snprintf(buf, 32, "%llu B", whole);
	else if (tenth)
		snprintf(buf, 32, "%llu.%u %ciB", whole, tenth, units[i]);
	else
		snprintf(buf, 32, "%llu %ciB", whole, units[i]);
	return buf;
}

/**
 * out_bytes() - a member that is a number of bytes
 * @o:		the output
 * @key:	JSON name
 * @label:	text label or NULL
 * @value:	bytes
 */
void out_bytes(struct out *o, const char *key, const char *label, u64 value)
{
	char buf[32];

	if (o->json) {
		out_number(o, key, label, value);
	} else if (label) {
		text_label(o, label);
		printf("%s (%llu bytes)\n", human_size(value, buf), value);
	}
}

/**
 * out_bool() - a member that is true or false
 * @o:		the output
 * @key:	JSON name
 * @label:	text label or NULL
 * @value:	the truth
 */
void out_bool(struct out *o, const char *key, const char *label, bool value)
{
	if (o->json) {
		json_key(o, key);
		fputs(value ? "true" : "false", stdout);
	} else if (label) {
		text_value(o, label, value ? "yes" : "no");
	}
}

/**
 * out_text() - a line that only the text has
 * @o:		the output
 * @label:	its label
 * @fmt:	printf format of the value
 */
void out_text(struct out *o, const char *label, const char *fmt, ...)
{
	va_list ap;
	char *text;
	int ret;

	if (o->json)
		return;
	va_start(ap, fmt);
	ret = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (ret < 0)
		return;
	text_value(o, label, text);
	free(text);
}

/**
 * out_alignment() - say in words that blocks of an image are misaligned
 * @o:		the output
 * @misaligned:	how many; nothing is said if there are none
 * @allocated:	of how many
 */
void out_alignment(struct out *o, u32 misaligned, u32 allocated)
{
	if (misaligned)
		out_text(o, "alignment",
			 "%u of %u blocks are not 4 KiB-aligned: slower, each page straddles two",
			 misaligned, allocated);
}

/**
 * type_name() - a disk type in words
 * @type:	of a footer; 0 is raw
 */
const char *type_name(enum vhd_type type)
{
	switch (type) {
	case VHD_TYPE_FIXED:
		return "fixed";
	case VHD_TYPE_DYNAMIC:
		return "dynamic";
	case VHD_TYPE_DIFFERENCING:
		return "differencing";
	}
	return "raw";
}
