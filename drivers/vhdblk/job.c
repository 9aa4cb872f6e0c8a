// SPDX-License-Identifier: GPL-2.0
/*
 * Attach and detach run as jobs: opening a file on a dead server may take for
 * ever, and generic netlink must not wait for it.
 */
#include <linux/file.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "job.h"

/* Outcomes that can still be asked for. */
#define KEPT_JOBS	256

/* Protects the list, its length and @next_id. */
static DEFINE_MUTEX(jobs_lock);
static LIST_HEAD(jobs);
static u32 nr_jobs;
static u32 next_id = 1;
static struct workqueue_struct *job_wq;
static void (*job_done)(const struct vhdblk_job *job);

static void drop_files(struct vhdblk_job *job)
{
	u32 i;

	for (i = 0; i < job->params.depth; i++)
		vhd_fput(job->params.layer[i].file);
	kfree(job->params.layer);
	job->params.layer = NULL;
	job->params.depth = 0;
}

/* Only ended jobs are forgotten, the oldest first. */
static void forget_old(void)
{
	struct vhdblk_job *job, *n;

	lockdep_assert_held(&jobs_lock);
	list_for_each_entry_safe(job, n, &jobs, list) {
		if (nr_jobs <= KEPT_JOBS)
			return;
		if (!job->done)
			continue;
		list_del(&job->list);
		nr_jobs--;
		kfree(job);
	}
}

static void run_detach(struct vhdblk_job *job)
{
	int ret = vhdblk_device_detach(job->index, job->lazy, job->force);

	if (ret == -EBUSY)
		vhd_error_errno(&job->error, ret, "the device is in use");
	else if (ret == -ENODEV)
		vhd_error_errno(&job->error, ret, "no such device");
	else if (ret)
		vhd_error_errno(&job->error, ret,
				"detached, but the last writes could not be made durable");
}

static void job_work(struct work_struct *work)
{
	struct vhdblk_job *job = container_of(work, struct vhdblk_job, work);

	if (job->kind == VHDBLK_JOB_ATTACH)
		job->has_index = !vhdblk_device_attach(&job->params, &job->error, &job->index);
	else
		run_detach(job);
	drop_files(job);
	/* Whoever is told that it has ended finds that it has. */
	mutex_lock(&jobs_lock);
	job->done = true;
	job_done(job);
	forget_old();
	mutex_unlock(&jobs_lock);
	/* vhdblk_job_exit() waits for the rest of this function. */
	module_put(THIS_MODULE);
}

/**
 * vhdblk_job_alloc() - a job to be filled in
 * @kind: which
 * @portid: who asked
 *
 * Return: the job, or NULL without memory or while the module is unloaded.
 */
struct vhdblk_job *vhdblk_job_alloc(enum vhdblk_job_kind kind, u32 portid)
{
	struct vhdblk_job *job;

	if (!try_module_get(THIS_MODULE))
		return NULL;
	job = kzalloc(sizeof(*job), GFP_KERNEL);
	if (!job) {
		module_put(THIS_MODULE);
		return NULL;
	}
	INIT_LIST_HEAD(&job->list);
	INIT_WORK(&job->work, job_work);
	job->kind = kind;
	job->portid = portid;
	return job;
}

/**
 * vhdblk_job_free() - a job that was never run
 * @job: from vhdblk_job_alloc(), prepared or not
 */
void vhdblk_job_free(struct vhdblk_job *job)
{
	mutex_lock(&jobs_lock);
	if (!list_empty(&job->list)) {
		list_del(&job->list);
		nr_jobs--;
	}
	mutex_unlock(&jobs_lock);
	drop_files(job);
	kfree(job);
	module_put(THIS_MODULE);
}

/**
 * vhdblk_job_prepare() - give a job its number
 * @job: filled in
 */
void vhdblk_job_prepare(struct vhdblk_job *job)
{
	mutex_lock(&jobs_lock);
	job->id = next_id++;
	/* 0 is no job, also after four thousand million of them. */
	if (!next_id)
		next_id = 1;
	list_add_tail(&job->list, &jobs);
	nr_jobs++;
	mutex_unlock(&jobs_lock);
}

/**
 * vhdblk_job_run() - let it go
 * @job: prepared; belongs to this file from now on
 */
void vhdblk_job_run(struct vhdblk_job *job)
{
	queue_work(job_wq, &job->work);
}

/**
 * vhdblk_job_show() - look at a job while it cannot go away
 * @id: its number
 * @fn: called with it
 * @arg: for @fn
 *
 * Return: what @fn returns, or -ENOENT.
 */
int vhdblk_job_show(u32 id, int (*fn)(const struct vhdblk_job *job, void *arg), void *arg)
{
	struct vhdblk_job *job;
	int ret = -ENOENT;

	mutex_lock(&jobs_lock);
	list_for_each_entry(job, &jobs, list) {
		if (job->id != id)
			continue;
		ret = fn(job, arg);
		break;
	}
	mutex_unlock(&jobs_lock);
	return ret;
}

/**
 * vhdblk_job_init() - before the first job
 * @done: tells the user how a job has ended; may sleep
 *
 * Return: 0 or -ENOMEM.
 */
int vhdblk_job_init(void (*done)(const struct vhdblk_job *job))
{
	job_done = done;
	job_wq = alloc_workqueue("vhdblk-jobs", WQ_UNBOUND, 0);
	return job_wq ? 0 : -ENOMEM;
}

/**
 * vhdblk_job_exit() - after the last job
 */
void vhdblk_job_exit(void)
{
	struct vhdblk_job *job, *n;

	destroy_workqueue(job_wq);
	/* Somebody may still be asking for one. */
	mutex_lock(&jobs_lock);
	list_for_each_entry_safe(job, n, &jobs, list) {
		list_del(&job->list);
		kfree(job);
	}
	mutex_unlock(&jobs_lock);
}
