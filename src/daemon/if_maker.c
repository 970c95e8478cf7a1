// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_maker.h"

#include "daemon/netns.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

struct if_maker {
	int fd;
	struct if_place place; /* the thread's own connections to the kernel */
	bool has_thread;
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t work, idle;
	struct if_work_list todo[IF_WORK_KINDS], done;
	const struct if_work *current; /* at work; NULL: none */
	bool stop;
};

static void work_do(struct if_maker *m, struct if_work *w)
{
	if (w->kind == IF_WORK_REMOVE)
		if_chan_remove(&m->place, w->chan);
	else
		w->result = if_chan_make(&m->place, &w->dispatch, &w->rec, w->mac, &w->xsk, &w->chan);
}

/* A removal is nobody's any more. */
static void work_done(struct if_maker *m, struct if_work *w)
{
	if (w->kind == IF_WORK_REMOVE) {
		free(w);
		return;
	}
	TAILQ_INSERT_TAIL(&m->done, w, queued);
	eventfd_write(m->fd, 1);
}

static struct if_work *next_work(struct if_maker *m)
{
	struct if_work *w = NULL;

	for (unsigned k = 0; k < IF_WORK_KINDS && w == NULL; k++) {
		w = TAILQ_FIRST(&m->todo[k]);
		if (w != NULL)
			TAILQ_REMOVE(&m->todo[k], w, queued);
	}
	return w;
}

static void *maker_main(void *arg)
{
	struct if_maker *m = arg;
	struct if_work *w;

	pthread_mutex_lock(&m->lock);
	for (;;) {
		while ((w = next_work(m)) == NULL && !m->stop)
			pthread_cond_wait(&m->work, &m->lock);
		if (w == NULL)
			break;
		m->current = w;
		pthread_mutex_unlock(&m->lock);
		work_do(m, w);
		pthread_mutex_lock(&m->lock);
		m->current = NULL;
		work_done(m, w);
		pthread_cond_signal(&m->idle);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

static int open_there(void *arg)
{
	return rtnl_open(arg);
}

int if_maker_new(int netns_fd, const char *dir, struct if_maker **ret_maker)
{
	struct if_maker *m = calloc(1, sizeof(*m));
	int r;

	if (m == NULL)
		return -ENOMEM;
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->work, NULL);
	pthread_cond_init(&m->idle, NULL);
	for (unsigned k = 0; k < IF_WORK_KINDS; k++)
		TAILQ_INIT(&m->todo[k]);
	TAILQ_INIT(&m->done);
	m->place.netns_fd = netns_fd;
	memcpy(m->place.dir, dir, strnlen(dir, sizeof(m->place.dir) - 1));
	m->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->place.packet_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0); /* protocol 0: it only sends */
	r = m->fd < 0 || m->place.packet_fd < 0 ? -errno : rtnl_open(&m->place.here);
	if (r == 0)
		r = netns_do(netns_fd, open_there, &m->place.there);
	if (r < 0) {
		if_maker_free(m);
		return r;
	}
	*ret_maker = m;
	return 0;
}

int if_maker_fd(const struct if_maker *m)
{
	return m->fd;
}

void if_maker_submit(struct if_maker *m, struct if_work *w)
{
	if (!m->has_thread)
		m->has_thread = pthread_create(&m->thread, NULL, maker_main, m) == 0;
	if (!m->has_thread)
		work_do(m, w);
	pthread_mutex_lock(&m->lock);
	if (m->has_thread) {
		TAILQ_INSERT_TAIL(&m->todo[w->kind], w, queued);
		pthread_cond_signal(&m->work);
	} else {
		work_done(m, w);
	}
	pthread_mutex_unlock(&m->lock);
}

struct if_work *if_maker_reap(struct if_maker *m)
{
	struct if_work *w;
	eventfd_t cnt;

	pthread_mutex_lock(&m->lock);
	w = TAILQ_FIRST(&m->done);
	if (w != NULL)
		TAILQ_REMOVE(&m->done, w, queued);
	else
		eventfd_read(m->fd, &cnt);
	pthread_mutex_unlock(&m->lock);
	return w;
}

void if_maker_part(struct if_maker *m, uint32_t ifindex)
{
	struct if_work *w, *next;

	pthread_mutex_lock(&m->lock);
	for (unsigned k = IF_WORK_OPEN; k <= IF_WORK_SPARE; k++)
		for (w = TAILQ_FIRST(&m->todo[k]); w != NULL; w = next) {
			next = TAILQ_NEXT(w, queued);
			if (w->rec.ifindex != ifindex)
				continue;
			TAILQ_REMOVE(&m->todo[k], w, queued);
			w->result = -ENODEV;
			work_done(m, w);
		}
	while (m->current != NULL && m->current->kind != IF_WORK_REMOVE && m->current->rec.ifindex == ifindex)
		pthread_cond_wait(&m->idle, &m->lock);
	pthread_mutex_unlock(&m->lock);
}

static void drop_all(struct if_work_list *list)
{
	struct if_work *w;

	while ((w = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, w, queued);
		free(w);
	}
}

void if_maker_free(struct if_maker *m)
{
	if (m == NULL)
		return;
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	drop_all(&m->todo[IF_WORK_OPEN]);
	drop_all(&m->todo[IF_WORK_SPARE]);
	pthread_cond_signal(&m->work);
	pthread_mutex_unlock(&m->lock);
	if (m->has_thread)
		pthread_join(m->thread, NULL);
	drop_all(&m->done);
	rtnl_close(&m->place.here);
	rtnl_close(&m->place.there);
	if (m->place.packet_fd >= 0)
		close(m->place.packet_fd);
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}
