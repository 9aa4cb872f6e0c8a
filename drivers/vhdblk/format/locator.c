// SPDX-License-Identifier: GPL-2.0
/* Parent locators: where they lie, and their text as a path. */
#include "vhd_format.h"

#define VHD_MACX_SCHEME	"file://"
#define VHD_MACX_HOST	"localhost/"
/* No code point: the text is malformed. */
#define VHD_NOT_A_CHAR	0xffffffffu

/* A string under construction; @len may exceed @size, then it does not fit. */
struct vhd_text {
	char *buf;
	size_t size;
	size_t len;
};

static void vhd_put(struct vhd_text *t, u8 byte)
{
	if (t->len < t->size)
		t->buf[t->len] = byte;
	t->len++;
}

static void vhd_put_utf8(struct vhd_text *t, u32 c)
{
	if (c < 0x80) {
		vhd_put(t, c);
		return;
	}
	if (c < 0x800) {
		vhd_put(t, 0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			vhd_put(t, 0xe0 | c >> 12);
		} else {
			vhd_put(t, 0xf0 | c >> 18);
			vhd_put(t, 0x80 | (c >> 12 & 0x3f));
		}
		vhd_put(t, 0x80 | (c >> 6 & 0x3f));
	}
	vhd_put(t, 0x80 | (c & 0x3f));
}

/* Ends the string; 0 if it, with its NUL, does not fit. */
static size_t vhd_finish(struct vhd_text *t)
{
	if (t->len < t->size) {
		t->buf[t->len] = '\0';
		return t->len;
	}
	if (t->size)
		t->buf[0] = '\0';
	return 0;
}

static bool vhd_is_surrogate(u32 c)
{
	return (c & 0xfffff800) == 0xd800;
}

/* One code point of UTF-8 that ends at @end or before; @s moves behind it. */
static u32 vhd_get_utf8(const u8 **s, const u8 *end)
{
	static const u32 least[] = { 0, 0x80, 0x800, 0x10000 };
	const u8 *p = *s;
	u32 c = *p++, more, i;

	more = c < 0x80 ? 0 : c < 0xc0 ? 4 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : c < 0xf8 ? 3 : 4;
	if (more == 4 || (size_t)(end - p) < more)
		return VHD_NOT_A_CHAR;
	if (more)
		c &= 0x3f >> more;
	for (i = 0; i < more; i++, p++) {
		if ((*p & 0xc0) != 0x80)
			return VHD_NOT_A_CHAR;
		c = c << 6 | (*p & 0x3f);
	}
	if (c < least[more] || c > 0x10ffff || vhd_is_surrogate(c))
		return VHD_NOT_A_CHAR;
	*s = p;
	return c;
}

/* UTF-16 of any byte order; disk text need not be aligned. */
struct vhd_utf16 {
	const u8 *byte;
	size_t units;
	bool big;
};

static u32 vhd_unit(const struct vhd_utf16 *s, size_t i)
{
	const u8 *b = s->byte + 2 * i;

	return s->big ? (u32)b[0] << 8 | b[1] : (u32)b[1] << 8 | b[0];
}

static u32 vhd_get_utf16(const struct vhd_utf16 *s, size_t *i)
{
	u32 low, c = vhd_unit(s, (*i)++);

	if (!vhd_is_surrogate(c))
		return c;
	if (c >= 0xdc00 || *i == s->units)
		return VHD_NOT_A_CHAR;
	low = vhd_unit(s, (*i)++);
	if (low < 0xdc00 || low > 0xdfff)
		return VHD_NOT_A_CHAR;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* Appends @s up to a NUL; what vhd_utf16_sense() calls malformed must not come. */
static void vhd_put_utf16(struct vhd_text *t, const struct vhd_utf16 *s)
{
	size_t i = 0;
	u32 c;

	while (i < s->units) {
		c = vhd_get_utf16(s, &i);
		if (!c)
			break;
		vhd_put_utf8(t, c);
	}
}

enum vhd_sense { VHD_MALFORMED, VHD_WELL_FORMED, VHD_HAS_ASCII };

/* Every path has a separator, a dot or a letter; hardly any is without ASCII. */
static enum vhd_sense vhd_utf16_sense(const struct vhd_utf16 *s)
{
	enum vhd_sense sense = VHD_WELL_FORMED;
	size_t i = 0;
	u32 c;

	while (i < s->units) {
		c = vhd_get_utf16(s, &i);
		if (c == VHD_NOT_A_CHAR)
			return VHD_MALFORMED;
		if (!c)
			break;
		if (c > ' ' && c < 0x7f)
			sense = VHD_HAS_ASCII;
	}
	return sense;
}

static bool vhd_cpu_is_big(void)
{
	return cpu_to_be16(1) == (__force __be16)1;
}

/**
 * vhd_utf16_to_utf8() - convert a name
 * @src:	UTF-16 in host order; a NUL ends it
 * @units:	its length at most
 * @dst:	filled and terminated
 * @size:	bytes of room
 *
 * Context: Any.
 * Return: Bytes without the NUL; 0 if the name is empty or malformed (a lone
 * surrogate) or does not fit.
 */
size_t vhd_utf16_to_utf8(const u16 *src, size_t units, char *dst, size_t size)
{
	struct vhd_utf16 s = { (const u8 *)src, units, vhd_cpu_is_big() };
	struct vhd_text t = { dst, size, 0 };

	if (vhd_utf16_sense(&s) != VHD_MALFORMED)
		vhd_put_utf16(&t, &s);
	return vhd_finish(&t);
}

/**
 * vhd_utf8_to_utf16() - convert a name
 * @src:	UTF-8, terminated
 * @dst:	UTF-16 in host order, not terminated
 * @units:	its room
 *
 * Context: Any.
 * Return: Units; 0 if the name is empty or malformed or does not fit.
 */
size_t vhd_utf8_to_utf16(const char *src, u16 *dst, size_t units)
{
	const u8 *p = (const u8 *)src, *end = p + strlen(src);
	size_t n = 0;
	u32 c;

	while (p < end) {
		c = vhd_get_utf8(&p, end);
		if (c == VHD_NOT_A_CHAR || units - n < (c < 0x10000 ? 1 : 2))
			return 0;
		if (c < 0x10000) {
			dst[n++] = c;
		} else {
			dst[n++] = 0xd800 + ((c - 0x10000) >> 10);
			dst[n++] = 0xdc00 + ((c - 0x10000) & 0x3ff);
		}
	}
	return n;
}

/*
 * The specification counts the space in sectors; Virtual PC, Hyper-V,
 * VirtualBox and libvhd write bytes. No text needs 512 sectors and no space is
 * smaller than a sector, so the value tells (libvhd's rule).
 */
static u32 vhd_locator_space(u32 space, u32 length)
{
	if (space < VHD_SECTOR_SIZE)
		space *= VHD_SECTOR_SIZE;
	if (space % VHD_SECTOR_SIZE || space < length)
		space = DIV_ROUND_UP(length, VHD_SECTOR_SIZE) * VHD_SECTOR_SIZE;
	return space;
}

static bool vhd_locator_known(enum vhd_platform_code code)
{
	switch (code) {
	case VHD_PLATFORM_NONE:
	case VHD_PLATFORM_WI2R:
	case VHD_PLATFORM_WI2K:
	case VHD_PLATFORM_W2RU:
	case VHD_PLATFORM_W2KU:
	case VHD_PLATFORM_MAC:
	case VHD_PLATFORM_MACX:
		return true;
	}
	return false;
}

/**
 * vhd_locator_get() - one parent locator
 * @h:		a dynamic header
 * @slot:	0 to 7; writers fill them in any order, with gaps
 * @file_size:	bytes before the end footer, or of the file
 * @ref:	filled; length 0 if the slot is empty or the result a range fault
 *
 * Context: Any.
 * Return: VHD_OK; VHD_FAULT_LOCATOR_RANGE if the text does not lie in the file
 * or is longer than any path; VHD_FAULT_LOCATOR_CODE if nobody knows the code,
 * with @ref valid.
 */
enum vhd_fault vhd_locator_get(const struct vhd_header *h, unsigned int slot,
			       u64 file_size, struct vhd_locator_ref *ref)
{
	const struct vhd_locator *loc = &h->locator[slot];
	u64 offset = be64_to_cpu(loc->data_offset);
	u32 length = be32_to_cpu(loc->data_length);

	*ref = (struct vhd_locator_ref){ .code = (enum vhd_platform_code)be32_to_cpu(loc->code) };
	if (ref->code == VHD_PLATFORM_NONE)
		return VHD_OK;
	if (length > VHD_LOCATOR_MAX || length > file_size || offset > file_size - length)
		return VHD_FAULT_LOCATOR_RANGE;
	ref->offset = offset;
	ref->length = length;
	ref->space = vhd_locator_space(be32_to_cpu(loc->data_space), length);
	return vhd_locator_known(ref->code) ? VHD_OK : VHD_FAULT_LOCATOR_CODE;
}

/**
 * vhd_locator_set() - fill or empty a slot
 * @h:		a dynamic header, to be sealed afterwards
 * @slot:	0 to 7
 * @ref:	what to store, the space in bytes as everybody does; code
 *		VHD_PLATFORM_NONE empties the slot
 *
 * Context: Any.
 */
void vhd_locator_set(struct vhd_header *h, unsigned int slot,
		     const struct vhd_locator_ref *ref)
{
	struct vhd_locator *loc = &h->locator[slot];

	memset(loc, 0, sizeof(*loc));
	if (ref->code == VHD_PLATFORM_NONE)
		return;
	loc->code = cpu_to_be32(ref->code);
	loc->data_space = cpu_to_be32(ref->space);
	loc->data_length = cpu_to_be32(ref->length);
	loc->data_offset = cpu_to_be64(ref->offset);
}

static bool vhd_locator_overlaps(const struct vhd_layout *l, unsigned int slot)
{
	struct vhd_layout others = *l;

	memset(others.locator, 0, sizeof(others.locator));
	return l->locator[slot].sects &&
	       vhd_layout_hits_metadata(&others, l->locator[slot].sect, l->locator[slot].sects);
}

/**
 * vhd_locator_check() - are all parent locators of an image sound
 * @h:		its dynamic header
 * @l:		its layout, with its batmap if it has one
 * @file_size:	bytes
 *
 * Only differencing images have locators; what others hold there means nothing.
 * Two locators may share their text.
 *
 * Context: Any.
 * Return: VHD_OK or the first fault in slot order: VHD_FAULT_LOCATOR_RANGE,
 * VHD_FAULT_LOCATOR_CODE, VHD_FAULT_LOCATOR_OVERLAP.
 */
enum vhd_fault vhd_locator_check(const struct vhd_header *h,
				 const struct vhd_layout *l, u64 file_size)
{
	u64 size = min_t(u64, file_size, l->end << VHD_SECTOR_SHIFT);
	struct vhd_locator_ref ref;
	enum vhd_fault fault;
	unsigned int i;

	if (l->type != VHD_TYPE_DIFFERENCING)
		return VHD_OK;
	for (i = 0; i < VHD_LOCATORS; i++) {
		fault = vhd_locator_get(h, i, size, &ref);
		if (fault)
			return fault;
		if (vhd_locator_overlaps(l, i))
			return VHD_FAULT_LOCATOR_OVERLAP;
	}
	return VHD_OK;
}

/*
 * W2ru and W2ku are little-endian; some writers got that wrong. Text read with
 * the wrong order has no ASCII, or is malformed.
 */
static size_t vhd_decode_w2u(const void *data, size_t len, char *path, size_t size)
{
	struct vhd_utf16 little = { data, len / 2, false };
	struct vhd_utf16 big = { data, len / 2, true };
	struct vhd_text t = { path, size, 0 };
	enum vhd_sense sense = vhd_utf16_sense(&little);

	if (sense != VHD_HAS_ASCII && vhd_utf16_sense(&big) == VHD_HAS_ASCII)
		vhd_put_utf16(&t, &big);
	else if (sense != VHD_MALFORMED)
		vhd_put_utf16(&t, &little);
	return vhd_finish(&t);
}

static int vhd_hex(u8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* libvhd does not escape, so a lone % stands for itself. */
static u8 vhd_unescape(const u8 **s, const u8 *end)
{
	const u8 *p = *s;
	int high, low;

	*s = p + 1;
	if (*p != '%' || end - p < 3)
		return *p;
	high = vhd_hex(p[1]);
	low = vhd_hex(p[2]);
	if (high < 0 || low < 0)
		return '%';
	*s = p + 3;
	return high << 4 | low;
}

static size_t vhd_decode_macx(const void *data, size_t len, char *path, size_t size)
{
	const size_t scheme = strlen(VHD_MACX_SCHEME), host = strlen(VHD_MACX_HOST);
	const u8 *p = data, *end = memchr(data, 0, len);
	struct vhd_text t = { path, size, 0 };

	if (!end)
		end = p + len;
	if ((size_t)(end - p) < scheme || memcmp(p, VHD_MACX_SCHEME, scheme))
		return 0;
	p += scheme;
	if ((size_t)(end - p) >= host && !memcmp(p, VHD_MACX_HOST, host))
		p += host - 1;
	while (p < end)
		vhd_put(&t, vhd_unescape(&p, end));
	return vhd_finish(&t);
}

/* Also refuses NUL and other control characters, which no writer means. */
static bool vhd_path_is_sound(const char *path, size_t len)
{
	const u8 *p = (const u8 *)path, *end = p + len;
	u32 c;

	while (p < end) {
		c = vhd_get_utf8(&p, end);
		if (c == VHD_NOT_A_CHAR || c < 0x20 || c == 0x7f)
			return false;
	}
	return true;
}

static bool vhd_is_letter(char c)
{
	c |= 0x20;
	return c >= 'a' && c <= 'z';
}

static bool vhd_starts_with(const char *s, const char *prefix)
{
	while (*prefix)
		if (*s++ != *prefix++)
			return false;
	return true;
}

/* From "\\?\C:\a\b" or "C:\a\b" to "/a/b". Returns the new length. */
static size_t vhd_path_from_windows(char *path, size_t len)
{
	size_t skip = 0, i;

	for (i = 0; i < len; i++)
		if (path[i] == '\\')
			path[i] = '/';
	if (vhd_starts_with(path, "//?/"))
		skip = 4;
	if (vhd_is_letter(path[skip]) && path[skip + 1] == ':')
		skip += 2;
	memmove(path, path + skip, len - skip + 1);
	return len - skip;
}

/**
 * vhd_locator_decode() - the text of a parent locator as a path
 * @code:	platform code
 * @data:	the text; any byte may be wrong
 * @len:	its length in bytes; a NUL ends it earlier
 * @path:	UTF-8, terminated, with slashes and without a drive letter
 * @size:	bytes of room, at least 1
 *
 * Hyper-V writes W2ru and W2ku; libvhd MacX and both of them, all relative.
 * The ANSI codes and the Mac alias are known but not decodable.
 *
 * Context: Any.
 * Return: VHD_OK; VHD_FAULT_LOCATOR_TEXT if there is no path in it or it does
 * not fit, and then @path is empty; VHD_FAULT_LOCATOR_CODE for an unknown code.
 */
enum vhd_fault vhd_locator_decode(enum vhd_platform_code code, const void *data,
				  size_t len, char *path, size_t size)
{
	bool macx = code == VHD_PLATFORM_MACX;
	size_t n = 0;

	path[0] = '\0';
	if (macx)
		n = vhd_decode_macx(data, len, path, size);
	else if (code == VHD_PLATFORM_W2RU || code == VHD_PLATFORM_W2KU)
		n = vhd_decode_w2u(data, len, path, size);
	else if (!vhd_locator_known(code))
		return VHD_FAULT_LOCATOR_CODE;
	if (n && !vhd_path_is_sound(path, n))
		n = 0;
	if (n && !macx)
		n = vhd_path_from_windows(path, n);
	if (n)
		return VHD_OK;
	path[0] = '\0';
	return VHD_FAULT_LOCATOR_TEXT;
}

static bool vhd_url_plain(u8 c)
{
	return vhd_is_letter(c) || (c >= '0' && c <= '9') ||
	       (c && memchr("/-._~", c, 5));
}

static size_t vhd_encode_macx(const char *path, struct vhd_text *t)
{
	static const char hex[] = "0123456789ABCDEF";
	const char *p;
	u8 c;

	for (p = VHD_MACX_SCHEME; *p; p++)
		vhd_put(t, *p);
	for (p = path; *p; p++) {
		c = *p;
		if (vhd_url_plain(c)) {
			vhd_put(t, c);
		} else {
			vhd_put(t, '%');
			vhd_put(t, hex[c >> 4]);
			vhd_put(t, hex[c & 15]);
		}
	}
	return t->len;
}

static void vhd_put_unit(struct vhd_text *t, u32 unit)
{
	vhd_put(t, unit & 0xff);
	vhd_put(t, unit >> 8);
}

static size_t vhd_encode_w2u(const char *path, struct vhd_text *t, bool relative)
{
	const u8 *p = (const u8 *)path, *end = p + strlen(path);
	u32 c;

	/* Windows takes a path for relative only if it begins so. */
	if (relative && !vhd_starts_with(path, "./") && !vhd_starts_with(path, "../")) {
		vhd_put_unit(t, '.');
		vhd_put_unit(t, '\\');
	}
	while (p < end) {
		c = vhd_get_utf8(&p, end);
		if (c == '/') {
			vhd_put_unit(t, '\\');
		} else if (c < 0x10000) {
			vhd_put_unit(t, c);
		} else {
			vhd_put_unit(t, 0xd800 + ((c - 0x10000) >> 10));
			vhd_put_unit(t, 0xdc00 + ((c - 0x10000) & 0x3ff));
		}
	}
	return t->len;
}

/**
 * vhd_locator_encode() - a path as the text of a parent locator
 * @code:	VHD_PLATFORM_W2RU, VHD_PLATFORM_W2KU or VHD_PLATFORM_MACX
 * @path:	UTF-8 with slashes; for W2RU relative to the child's directory
 * @data:	filled, not terminated; may be NULL if @size is 0
 * @size:	bytes of room
 *
 * Decoding gives the path again, W2RU with "./" in front if neither that nor
 * "../" was there. A backslash in a Linux name does not survive W2RU and W2KU.
 *
 * Context: Any.
 * Return: Bytes needed, more than @size if it does not fit; 0 if the path is
 * empty or not UTF-8, has control characters, or the code is another one.
 */
size_t vhd_locator_encode(enum vhd_platform_code code, const char *path,
			  void *data, size_t size)
{
	struct vhd_text t = { data, size, 0 };

	if (!*path || !vhd_path_is_sound(path, strlen(path)))
		return 0;
	if (code == VHD_PLATFORM_MACX)
		return vhd_encode_macx(path, &t);
	if (code == VHD_PLATFORM_W2RU || code == VHD_PLATFORM_W2KU)
		return vhd_encode_w2u(path, &t, code == VHD_PLATFORM_W2RU);
	return 0;
}
