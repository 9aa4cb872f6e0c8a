/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VHDBLK_JOB_H
#define _VHDBLK_JOB_H

#include "device.h"

enum vhdblk_job_kind { VHDBLK_JOB_ATTACH, VHDBLK_JOB_DETACH };

/**
 * struct vhdblk_job - an attach or detach on its way
 * @list:	in the order of their numbers; under the jobs' lock
 * @id:		number
 * @portid:	who asked
 * @kind:	which
 * @params:	of an attach; the files are referenced until it has run
 * @lazy, @force: of a detach
 * @index:	N of /dev/vhdN: outcome of an attach, argument of a detach
 * @error:	outcome; valid once @done
 */
struct vhdblk_job {
	struct list_head list;
	struct work_struct work;
	u32 id;
	u32 portid;
	enum vhdblk_job_kind kind;
	struct vhdblk_params params;
	bool lazy;
	bool force;
	bool done;
	bool has_index;
	u32 index;
	struct vhd_error error;
};

int vhdblk_job_init(void (*done)(const struct vhdblk_job *job));
void vhdblk_job_exit(void);
struct vhdblk_job *vhdblk_job_alloc(enum vhdblk_job_kind kind, u32 portid);
void vhdblk_job_free(struct vhdblk_job *job);
void vhdblk_job_prepare(struct vhdblk_job *job);
void vhdblk_job_run(struct vhdblk_job *job);
int vhdblk_job_show(u32 id, int (*fn)(const struct vhdblk_job *job, void *arg), void *arg);

#endif /* _VHDBLK_JOB_H */
