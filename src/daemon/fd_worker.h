/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fd_worker.h - threads that touch descriptors which clients have sent
 *
 * A descriptor from a client can make nearly every system call hang: close() of the last reference
 * to a TCP socket with SO_LINGER waits for its data, close() of a file asks its file system (which
 * may be the client's own, through FUSE), and a socket whose lock is held by a thread of the client
 * that faults on such a file never answers. So the main thread never touches one, not even to close
 * it.
 *
 * Jobs go in a queue; a thread is started when there is a job and nobody idle, up to
 * WORKER_THREADS_MAX. An application with a job under way isn't read (app_wants_read()), so one
 * that makes jobs hang stops only itself; and one that comes again and again is stopped at
 * QUOTA_JOBS_MAX, with all of its user's, so that it takes several users to occupy all threads.
 * Finished jobs come back through an eventfd.
 *
 * Owners: a job is the main thread's before submit and after it was reaped, the worker's in
 * between, but for @app and @user, which are always the main thread's.
 */
#ifndef DAEMON_FD_WORKER_H
#define DAEMON_FD_WORKER_H

#include "control/packet.h"
#include "daemon/lease.h"
#include "daemon/repair.h"

#include <sys/queue.h>

struct user;

enum { WORKER_THREADS_MAX = 64 };

enum fd_job_kind {
	FD_JOB_CLOSE, /* nothing else */
	FD_JOB_PROVE, /* @fds[0] is to prove @msg, a LEASE, in network namespace @netns */
	FD_JOB_REPAIR, /* @fds[0] has the queues of @msg, a TO_KERNEL; @repair says the rest */
};

struct fd_job {
	TAILQ_ENTRY(fd_job) queued;
	int fds[CTL_PACKET_FDS_ROOM]; /* closed by the worker */
	unsigned fd_cnt;
	enum fd_job_kind kind;
	struct ctl_msg msg;
	uint64_t netns;
	struct repair_job repair;
	int result; /* of proof_take(), repair_make() */
	struct lease_proof proof;
	int made_fd; /* by repair_make(); -1 */
	struct app *app; /* isn't read meanwhile, waits for the reply to @msg; NULL: gone */
	struct user *user; /* charged with it */
};

/** fd_job_orphan() - The application that waits has gone */
void fd_job_orphan(struct fd_job *job);

/** fd_job_free() - It is done with, and what it has made was passed on or isn't wanted */
void fd_job_free(struct fd_job *job);

/** fd_job_run() - The work itself; can hang */
void fd_job_run(struct fd_job *job);

struct fd_worker;

/** fd_worker_new() - No thread yet. Return: 0; -ENOMEM, -EMFILE */
int fd_worker_new(struct fd_worker **ret_worker);

/**
 * fd_worker_free() - At the end of the process. NULL allowed
 *
 * Frees nothing if there are threads: one may hang in a job for good, and the process must be able
 * to end without it.
 */
void fd_worker_free(struct fd_worker *w);

/** fd_worker_fd() - Readable when jobs are done */
int fd_worker_fd(const struct fd_worker *w);

/**
 * fd_worker_submit() - Takes the job. Without a thread to be had, and none there, it is done at
 * once, here.
 */
void fd_worker_submit(struct fd_worker *w, struct fd_job *job);

/** fd_worker_reap() - Next job that is done, or NULL; the caller's to free */
struct fd_job *fd_worker_reap(struct fd_worker *w);

#endif
