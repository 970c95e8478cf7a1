// SPDX-License-Identifier: BSD-2-Clause
/* calm.c - a process that has no channel */
#include "sock/calm.h"
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"
#include "sock/recall.h"
#include "sock/undo.h"
#include "sock/wait.h"

static uint32_t next_number(void)
{
	static uint32_t times;

	return ++times ? times : ++times;
}

static void calm_end(void)
{
	atomic_store(&sock.calm, 0);
	for (struct sleeper *sl = sock.sleepers; sl; sl = sl->next)
		if (sl->kick->inside)
			kick_send(sl->kick);
	recall_placed();
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);

		if (f->kind == FILE_EPOLL && atomic_load(&set_of(f)->kernel_asleep))
			kick_send(&set_of(f)->kick);
	}
}

void calm_update(void)
{
	if (unlikely(sock.helper.state == HELPER_CALM))
		atomic_store(&sock.calm, next_number());
	else if (unlikely(sock.calm))
		calm_end();
}

VJ_COLD void calm_stir(struct file *f)
{
	atomic_store(&f->calm, 0);
	if (!sock.calm)
		return;
	atomic_store(&sock.calm, next_number());
	recall_placed();
}

/* The thread is cancelled, or jumps out. */
static void kernel_left(void *arg)
{
	struct epoll_set *set = arg;

	atomic_fetch_sub(&set->kernel_asleep, 1);
}

VJ_DIRECT int wait_kernel(struct epoll_set *set, int epfd, struct epoll_event *ev, int max, int64_t timeout_ns, const sigset_t *mask, bool *ret_ours)
{
	struct undo undo;
	int n;

	atomic_fetch_add(&set->kernel_asleep, 1);
	if (unlikely(!set_is_kernels(set))) {
		atomic_fetch_sub(&set->kernel_asleep, 1);
		*ret_ours = true;
		return 0;
	}
	undo_push(&undo, kernel_left, set);
	n = undo_epoll(epfd, ev, max, timeout_ns, mask);
	if (!undo_pop(&undo))
		return -EINTR;
	atomic_fetch_sub(&set->kernel_asleep, 1);
	return n;
}
