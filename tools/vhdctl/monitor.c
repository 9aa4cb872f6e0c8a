// SPDX-License-Identifier: GPL-2.0
/* vhdctl monitor: events as they happen. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "netlink.h"
#include "print.h"

static const char *event_name(u32 event)
{
	static const char * const names[] = {
		[VHDBLK_EVENT_JOB_DONE] = "job-done",
		[VHDBLK_EVENT_ATTACHED] = "attached",
		[VHDBLK_EVENT_DETACHED] = "detached",
		[VHDBLK_EVENT_PROGRESS] = "progress",
		[VHDBLK_EVENT_IO_ERROR] = "io-error",
		[VHDBLK_EVENT_NO_SPACE] = "no-space",
		[VHDBLK_EVENT_SPACE_RETURNED] = "space-returned",
	};

	return event < ARRAY_SIZE(names) ? names[event] : "unknown";
}

static void print_json(const struct device *e)
{
	struct out o = { .json = true, .compact = true };

	out_begin(&o, NULL, NULL);
	out_string(&o, "event", NULL, event_name(e->event));
	out_number(&o, "time", NULL, time(NULL));
	out_string(&o, "device", NULL, e->has_index ? e->path : NULL);
	out_string(&o, "name", NULL, e->name[0] ? e->name : NULL);
	out_number(&o, "job", NULL, e->job);
	out_signed(&o, "error", NULL, e->error);
	out_string(&o, "text", NULL, e->text[0] ? e->text : NULL);
	out_end(&o);
}

static void print_text(struct device *e)
{
	time_t now = time(NULL);
	struct tm tm;
	char clock[16] = "";

	if (localtime_r(&now, &tm))
		strftime(clock, sizeof(clock), "%T", &tm);
	printable(e->text);
	printable(e->name);
	printf("%s %s", clock, event_name(e->event));
	if (e->job)
		printf(" job %u", e->job);
	if (e->has_index)
		printf(" %s", e->path);
	if (e->name[0])
		printf(" (%s)", e->name);
	if (e->error)
		printf(": %s", e->text[0] ? e->text : strerror(-e->error));
	putchar('\n');
}

static int print_events(struct nl *nl, bool json)
{
	struct device e;
	int ret;

	do {
		ret = nl_next_event(nl, &e);
		if (ret == -ENOBUFS) {
			msg_warning("events came too fast and some were lost");
			continue;
		}
		if (ret) {
			msg_error("cannot read events: %s", strerror(-ret));
			return VHDCTL_ERROR;
		}
		if (json)
			print_json(&e);
		else
			print_text(&e);
		device_clear(&e);
	} while (!fflush(stdout));
	return VHDCTL_ERROR;
}

/**
 * monitor_main() - print events until interrupted
 * @o:	command line
 *
 * Return: &enum vhdctl_exit.
 */
int monitor_main(const struct options *o)
{
	struct nl *nl;
	int ret;

	nl = nl_open(true, &ret);
	if (!nl)
		return ret;
	ret = nl_listen(nl);
	if (ret) {
		msg_error("cannot listen to events: %s", strerror(-ret));
		ret = exit_of_errno(ret);
	} else {
		ret = print_events(nl, o->json);
	}
	nl_close(nl);
	return ret;
}
