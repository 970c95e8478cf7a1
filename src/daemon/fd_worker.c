/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/fd_worker.h"

#include "daemon/proof.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { STACK_BYTES = 256 * 1024 };

TAILQ_HEAD(job_list, fd_job);

struct fd_worker {
	int fd;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work;
	struct job_list todo, done;
	unsigned todo_cnt, idle_cnt, thread_cnt;
};

void fd_job_orphan(struct fd_job *job)
{
	job->app = NULL;
}

/* A socket that was made has no SO_LINGER, unless it was passed on, and then this isn't its last descriptor: close() doesn't wait. */
void fd_job_free(struct fd_job *job)
{
	if (job->made_fd >= 0)
		close(job->made_fd);
	if (job->kind == FD_JOB_REPAIR && job->repair.flows_fd >= 0)
		close(job->repair.flows_fd);
	free(job);
}

void fd_job_run(struct fd_job *job)
{
	if (job->kind == FD_JOB_PROVE)
		job->result = proof_take(job->fds[0], &job->msg.lease, job->netns, &job->proof);
	if (job->kind == FD_JOB_REPAIR)
		job->result = repair_make(&job->repair, job->fds[0], &job->made_fd);
	for (unsigned i = 0; i < job->fd_cnt; i++)
		close(job->fds[i]);
}

static void finished(struct fd_worker *w, struct fd_job *job)
{
	TAILQ_INSERT_TAIL(&w->done, job, queued);
	eventfd_write(w->fd, 1);
}

static void *worker_main(void *arg)
{
	struct fd_worker *w = arg;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct fd_job *job;

		while ((job = TAILQ_FIRST(&w->todo)) == NULL) {
			w->idle_cnt++;
			pthread_cond_wait(&w->work, &w->lock);
			w->idle_cnt--;
		}
		TAILQ_REMOVE(&w->todo, job, queued);
		w->todo_cnt--;
		pthread_mutex_unlock(&w->lock);
		fd_job_run(job);
		pthread_mutex_lock(&w->lock);
		finished(w, job);
	}
	return NULL;
}

int fd_worker_new(struct fd_worker **ret_worker)
{
	struct fd_worker *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return -ENOMEM;
	w->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0) {
		free(w);
		return -errno;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->work, NULL);
	TAILQ_INIT(&w->todo);
	TAILQ_INIT(&w->done);
	*ret_worker = w;
	return 0;
}

void fd_worker_free(struct fd_worker *w)
{
	unsigned threads;

	if (w == NULL)
		return;
	pthread_mutex_lock(&w->lock);
	threads = w->thread_cnt;
	pthread_mutex_unlock(&w->lock);
	if (threads > 0)
		return;
	close(w->fd);
	free(w);
}

int fd_worker_fd(const struct fd_worker *w)
{
	return w->fd;
}

/* Threads are never joined: one may hang for good, and the process ends without it. */
static void start_thread(struct fd_worker *w)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	if (pthread_create(&thread, &attr, worker_main, w) == 0)
		w->thread_cnt++;
	pthread_attr_destroy(&attr);
}

void fd_worker_submit(struct fd_worker *w, struct fd_job *job)
{
	pthread_mutex_lock(&w->lock);
	if (w->idle_cnt <= w->todo_cnt && w->thread_cnt < WORKER_THREADS_MAX)
		start_thread(w);
	if (w->thread_cnt > 0) {
		TAILQ_INSERT_TAIL(&w->todo, job, queued);
		w->todo_cnt++;
		pthread_cond_signal(&w->work);
	} else {
		fd_job_run(job);
		finished(w, job);
	}
	pthread_mutex_unlock(&w->lock);
}

struct fd_job *fd_worker_reap(struct fd_worker *w)
{
	struct fd_job *job;
	eventfd_t cnt;

	pthread_mutex_lock(&w->lock);
	job = TAILQ_FIRST(&w->done);
	if (job != NULL)
		TAILQ_REMOVE(&w->done, job, queued);
	else
		eventfd_read(w->fd, &cnt);
	pthread_mutex_unlock(&w->lock);
	return job;
}
