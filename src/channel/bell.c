// SPDX-License-Identifier: BSD-2-Clause
#include "channel/bell.h"

#include <sys/eventfd.h>

#include "channel/sys.h"

/* Events taken from the kernel at a time */
#define BELL_BATCH 16

int bell_new(void)
{
	return sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void bell_ring(int fd)
{
	const uint64_t one = 1;

	(void)sys_write(fd, &one, sizeof(one));
}

int bell_set_new(void)
{
	return sys_epoll_create(EPOLL_CLOEXEC);
}

int bell_set_add(int set, int fd, uint64_t tag)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLET, .data.u64 = tag };

	return sys_epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
}

int bell_set_del(int set, int fd)
{
	struct epoll_event unused = { .events = 0 };

	return sys_epoll_ctl(set, EPOLL_CTL_DEL, fd, &unused);
}

int bell_set_wait(int set, int timeout_ms)
{
	struct epoll_event events[BELL_BATCH];
	int cnt = sys_epoll_pwait(set, events, BELL_BATCH, timeout_ms, NULL);
	int rang = cnt > 0 ? BELL_RANG : cnt;

	for (;;) {
		for (int i = 0; i < cnt; i++)
			if (!events[i].data.u64)
				rang |= BELL_UNTAGGED;
		if (cnt < BELL_BATCH)
			return rang;
		cnt = sys_epoll_pwait(set, events, BELL_BATCH, 0, NULL);
	}
}
