/* SPDX-License-Identifier: GPL-2.0 */
/* One description of a result, printed as text for people or as JSON. */
#ifndef VHDCTL_PRINT_H
#define VHDCTL_PRINT_H

#include "vhdctl.h"

#define OUT_NEST	8

/**
 * struct out - a result being printed
 * @json:	JSON instead of text
 * @compact:	JSON on one line
 * @depth:	open objects and arrays
 * @nr:		members printed so far at each depth
 *
 * Labels are for text; a member without a label appears only in JSON.
 */
struct out {
	bool json;
	bool compact;
	unsigned int depth;
	unsigned int nr[OUT_NEST];
};

void out_begin(struct out *o, const char *key, const char *label);
void out_end(struct out *o);
void out_begin_array(struct out *o, const char *key, const char *label);
void out_end_array(struct out *o);
void out_string(struct out *o, const char *key, const char *label, const char *value);
void out_number(struct out *o, const char *key, const char *label, u64 value);
void out_signed(struct out *o, const char *key, const char *label, s64 value);
void out_milli(struct out *o, const char *key, const char *label, u64 thousandths);
void out_bytes(struct out *o, const char *key, const char *label, u64 value);
void out_bool(struct out *o, const char *key, const char *label, bool value);
void out_text(struct out *o, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void out_alignment(struct out *o, u32 misaligned, u32 allocated);
char *human_size(u64 bytes, char buf[32]);
const char *type_name(enum vhd_type type);

#endif /* VHDCTL_PRINT_H */
