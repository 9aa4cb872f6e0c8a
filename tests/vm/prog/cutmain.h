/* SPDX-License-Identifier: GPL-2.0 */
/* The main() of programs that are linked into another one; see the Makefile. */
#ifndef _VM_CUTMAIN_H
#define _VM_CUTMAIN_H

typedef int main_fn(int argc, char **argv);

int vhdctl_main(int argc, char **argv);
int cutlog_main(int argc, char **argv);
int cutwork_main(int argc, char **argv);

#endif /* _VM_CUTMAIN_H */
