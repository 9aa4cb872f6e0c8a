// SPDX-License-Identifier: GPL-2.0
/* The tracepoints of trace.h; the only file that knows what they look into. */
#include <linux/blk-mq.h>
#include <linux/ktime.h>

#include "cmd.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
