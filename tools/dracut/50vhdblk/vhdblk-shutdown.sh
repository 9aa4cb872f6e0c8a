#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Sourced by dracut, up to 40 times until it succeeds, when the root is unmounted.
/usr/lib/vhdblk/vhdblk-boot detach "${1:-}" || {
	sleep 0.2
	return 1
}
