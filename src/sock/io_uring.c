// SPDX-License-Identifier: BSD-2-Clause
/*
 * io_uring.c - io_uring, of programs that use it by way of liburing
 *
 * What a ring does is done by the kernel, on what the kernel has at that descriptor: behind one of ours a socket that isn't connected, or that has
 * not the clients of channels. liburing makes its system calls itself, so they are not seen; but its functions are. So before
 * operations are submitted, or descriptors registered, those that name a socket of this layer make it one that the kernel's calls work on:
 *
 *	a connection	is left to its token (away.c), as to a program without the library: who reads and writes there is served by the helper
 *	all others	are the kernel's from now on. What has come for them over channels only this layer's calls see: a server whose clients a
 *			ring accepts has none, since a port is leased by who waits for a connection with calls of this layer
 *
 * Rings are used for files, too, by programs whose sockets belong on channels (MariaDB); only what a ring is asked to do tells. Once it was a
 * socket, all that are new are the kernel's, and so are the clients that come.
 *
 * A ring made by syscall() is refused (syscall.c); one made by inline system calls, or by a liburing that is part of the program, is not seen.
 */
#include "sock/accept.h"
#include "sock/away.h"
#include "sock/ctx.h"
#include "sock/dgram_priv.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/in_kernel.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/stream.h"
#include "sock/why.h"

#include "lib/report.h"

#include <linux/io_uring.h>

/* The begin of liburing's struct io_uring, the same since 2.0: its functions would not fit the programs' inline ones otherwise. */
struct ring_queue {
	unsigned *khead, *ktail, *kring_mask, *kring_entries, *kflags, *kcounter, *array;
	struct io_uring_sqe *sqes;
	unsigned sqe_head, sqe_tail; /* those between are to be submitted */
	size_t ring_bytes;
	void *ring;
	unsigned rest[4];
};

struct ring_results {
	unsigned *khead, *ktail, *kring_mask, *kring_entries, *kflags, *kcounter;
	void *cqes;
	size_t ring_bytes;
	void *ring;
	unsigned rest[4];
};

struct ring {
	struct ring_queue sq;
	struct ring_results cq;
	unsigned flags;
};

/* Of Linux 5.19 */
#define RING_SQE128 (1u << 10)

/* Connections that come are likely to be a ring's, too. */
static void ring_begins(void)
{
	sock.rings = true;
	(void)ctx_get(); /* for `vj why`, which asks by way of vjd */
	ctx_say("io_uring works on sockets: new ones are the kernel's from now on");
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);

		if (f->kind == FILE_SOCK && sock_of(f)->state == SOCK_LISTEN && !sock_of(f)->kernel_only)
			listener_leave(fd, sock_of(f), REPORT_WHY_RING);
	}
}

/* Lock held. */
static void ring_gets(int fd, struct sock *s)
{
	if (!sock.rings)
		ring_begins();
	if (sock_is_conn(s) || s->state == SOCK_AWAY)
		away_leave(fd, s, REPORT_WHY_RING);
	else if (s->state == SOCK_UDP && !s->dgram->stays)
		dgram_stay(s, REPORT_WHY_RING);
	else if (s->state == SOCK_FRESH)
		sock_give_to_kernel(fd, s, REPORT_WHY_RING);
}

VJ_COLD void ring_has(int fd)
{
	lock_take();
	why_note(fd, REPORT_WHY_RING);
	lock_leave();
}

/* No lock. Of one that isn't tracked nothing is touched. */
static void ring_uses(int fd)
{
	struct file *f;

	if (likely(!fd_peek(fd)) || sock_inside || is_foreign())
		return;
	lock_take();
	f = fd_peek(fd);
	if (f && f->kind == FILE_SOCK)
		ring_gets(fd, sock_of(f));
	lock_leave();
}

/* It closes the number in the kernel only: what this layer has there goes first, and leaves the ring something to close. */
static void ring_closes(int fd)
{
	int spare;

	if (likely(!fd_peek(fd)) || fd_is_ours(fd) || sock_inside || is_foreign())
		return;
	ring_uses(fd);
	if (!fd_peek(fd))
		return;
	spare = sys_fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (spare < 0)
		return;
	(void)sock_dup3(spare, fd, O_CLOEXEC);
	sys_close(spare);
}

static void ring_does(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_NOP: /* these have no descriptor of the program's */
	case IORING_OP_TIMEOUT:
	case IORING_OP_TIMEOUT_REMOVE:
	case IORING_OP_ASYNC_CANCEL:
	case IORING_OP_LINK_TIMEOUT:
	case IORING_OP_POLL_REMOVE:
		return;
	case IORING_OP_FILES_UPDATE:
		sock_before_ring_files((const int *)(uintptr_t)sqe->addr, sqe->len);
		return;
	case IORING_OP_CLOSE:
		if (!sqe->file_index)
			ring_closes(sqe->fd);
		return;
	case IORING_OP_SPLICE:
	case IORING_OP_TEE:
		if (!(sqe->splice_flags & SPLICE_F_FD_IN_FIXED))
			ring_uses(sqe->splice_fd_in);
		break;
	default:
		break;
	}
	if (!(sqe->flags & IOSQE_FIXED_FILE))
		ring_uses(sqe->fd);
}

void sock_before_ring_submit(const void *liburings)
{
	const struct ring *ring = liburings;
	const struct ring_queue *sq = &ring->sq;
	unsigned shift = (ring->flags & RING_SQE128) != 0;

	for (unsigned i = sq->sqe_head; layer_began() && i != sq->sqe_tail; i++)
		ring_does(&sq->sqes[(i & *sq->kring_mask) << shift]);
}

void sock_before_ring_files(const int *fds, unsigned cnt)
{
	for (unsigned i = 0; layer_began() && fds && i < cnt; i++)
		ring_uses(fds[i]);
}
