// SPDX-License-Identifier: GPL-2.0
/* Messages and exit codes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhdctl.h"

/**
 * printable() - make text of an image harmless to a terminal
 * @text:	changed in place: control characters become '?'
 *
 * Paths in messages come from images that anybody may have written; an escape
 * sequence in one must not reach the terminal of root.
 */
void printable(char *text)
{
	unsigned char *p = (unsigned char *)text;

	for (; *p; p++) {
		if (*p < 0x20 || *p == 0x7f)
			*p = '?';
		else if (p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
			memset(p, '?', 2);
	}
}

static void say(const char *prefix, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		return;
	printable(text);
	fflush(stdout);
	fprintf(stderr, "%s%s\n", prefix, text);
	free(text);
}

/**
 * msg_error() - say why the command failed
 * @fmt:	printf format, one line without its end
 */
void msg_error(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("vhdctl: ", fmt, ap);
	va_end(ap);
}

/**
 * msg_warning() - say something that does not stop the command
 * @fmt:	printf format, one line without its end
 */
void msg_warning(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("vhdctl: warning: ", fmt, ap);
	va_end(ap);
}

/**
 * msg_hint() - a line below an error: a detail, or what to do next
 * @fmt:	printf format, one line without its end
 */
void msg_hint(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("  ", fmt, ap);
	va_end(ap);
}

/**
 * exit_of_errno() - exit code of a system or kernel error
 * @err:	errno, of either sign
 *
 * Return: &enum vhdctl_exit.
 */
int exit_of_errno(int err)
{
	switch (abs(err)) {
	case 0:
		return VHDCTL_OK;
	case EUCLEAN:
		return VHDCTL_CORRUPT;
	case EXDEV:
		return VHDCTL_ID_MISMATCH;
	case EBUSY:
	case ETXTBSY:
	case EAGAIN:
		return VHDCTL_BUSY;
	case EOPNOTSUPP:
		return VHDCTL_UNSUPPORTED;
	case ENOSPC:
	case EDQUOT:
		return VHDCTL_NO_SPACE;
	}
	return VHDCTL_ERROR;
}

/**
 * exit_of_fault() - exit code of a failed check
 * @fault:	which check
 *
 * Three errnos mean something else here than from a system call: EINVAL is "not
 * a VHD", ENOENT the missing parent, and ELOOP a chain that leads into itself.
 *
 * Return: &enum vhdctl_exit.
 */
int exit_of_fault(enum vhd_fault fault)
{
	int err = -abs(vhd_fault_errno(fault));

	if (err == -EINVAL || err == -ELOOP)
		return VHDCTL_CORRUPT;
	if (err == -ENOENT)
		return VHDCTL_NO_PARENT;
	return exit_of_errno(err);
}
