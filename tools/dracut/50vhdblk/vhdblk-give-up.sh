#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Sourced by dracut when it has waited long enough.
/usr/lib/vhdblk/vhdblk-boot give-up
