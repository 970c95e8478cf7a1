// SPDX-License-Identifier: BSD-2-Clause
/* fd.c - descriptors: closed, duplicated, their flags, ioctl() */
#include "sock/async.h"
#include "sock/away.h"
#include "sock/cage.h"
#include "sock/ctx.h"
#include "sock/dgram.h"
#include "sock/epoll.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/helper.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/queue.h"
#include "sock/signals.h"
#include "sock/undo.h"
#include "sock/wait.h"
#include "sock/why.h"

#include "base/time.h"
#include "lib/connect.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- close ----------------------------------------------------------------------------------------------------- */

/*
 * Is our end of file where the kernel would have it acknowledged (sk_stream_wait_close()), whether its reader runs or not? On a channel that
 * is in the ring: the peer finds it there, even if we are gone.
 */
static bool has_arrived(const struct vj_conn_info *info)
{
	switch (info->state) {
	case TCP_SYN_RECV:
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
		return false; /* it has not left */
	case TCP_FIN_WAIT1:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return info->cwnd_bytes == UINT32_MAX; /* a link that loses nothing */
	default:
		return true;
	}
}

/* close() with SO_LINGER waits for that, or for so long. Return: false: undone, with the number's reference */
static bool linger(struct sock *s)
{
	struct blocking b = { .file = &s->file,
			      .signals = sock_signals,
			      .kernel_fd = -1,
			      .uncancelled = true,
			      .timeout_ns = s->linger_s * NS_PER_SEC };
	struct vj_conn_info info = { .sz = sizeof(info) };
	struct hold number;

	ctx_process();
	if (!sock.vj || s->state != SOCK_CONNECTED || vj_conn_info(sock.vj, s->conn, &info) || info.unread_bytes) /* then it is a reset at once */
		return true;
	hold_begin(&number, &s->file);
	s->file.refs--; /* it is this one */
	vj_shutdown(sock.vj, s->conn);
	conn_shut_read(sock.vj, s->conn);
	for (;;) {
		ctx_process();
		if (s->state != SOCK_CONNECTED || vj_conn_info(sock.vj, s->conn, &info) || has_arrived(&info) || block_wait(&b))
			break;
	}
	block_end(&b);
	return undo_pop(&number.undo);
}

/*
 * @fd is not its number any more, and closed: the kernel's listener takes nobody from there on, whatever there is to be said before the channel's
 * has ended. Lock held, may be given up.
 */
VJ_EARLY static void number_gone(int fd, struct file *f)
{
	struct sock *s = file_sock(f);

	if (f->kind == FILE_EPOLL && f->refs > 1)
		set_fd_closed(set_of(f), fd);
	if (s && f->refs == 1 && !s->token && s->linger && s->linger_s && s->state == SOCK_CONNECTED && sock.vj && !linger(s))
		return;
	if (s && f->refs == 1 && s->state == SOCK_UDP && unlikely(dgram_has_heirs(s)))
		dgram_give(s);
	file_put(f);
}

VJ_EARLY int sock_close(int fd)
{
	struct file *f;
	int r;

	if (likely(!fd_peek(fd))) {
		why_forget(fd); /* before: it may be somebody's as soon as it is closed */
		return (int)ret_errno(sys_close(fd));
	}
	if (is_foreign())
		return (int)ret_errno(sys_close(fd));
	if (fd_is_ours(fd))
		return (int)ret_errno(-EBADF);
	f = file_enter(fd);
	if (!f)
		return (int)ret_errno(sys_close(fd));
	fd_set_file(fd, NULL);
	r = sys_close(fd);
	number_gone(fd, f);
	if (unlikely(sock.orphaned))
		away_closed();
	lock_leave();
	return (int)ret_errno(r);
}

static void forget_range(unsigned first, unsigned last)
{
	for (int fd = fd_next_used((int)first); fd >= 0 && (unsigned)fd <= last; fd = fd_next_used(fd + 1))
		why_forget(fd);
}

/* All numbers first..last but ours. Lock held. */
static int close_around_ours(unsigned first, unsigned last, unsigned flags)
{
	bool closes = !(flags & CLOSE_RANGE_CLOEXEC);
	unsigned from = first;

	if (closes)
		forget_range(first, last);
	for (int fd = fd_next((int)first); fd >= 0 && (unsigned)fd <= last; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);
		bool ours = f->kind == FILE_INTERNAL;
		unsigned end = (unsigned)fd + !ours;
		int r;

		if (!ours && !closes)
			continue;
		if (!ours)
			fd_set_file(fd, NULL);
		r = end > from ? ker_close_range(from, end - 1, (int)flags) : 0;
		if (r)
			return r;
		from = (unsigned)fd + 1;
		if (!ours)
			number_gone(fd, f);
	}
	return from <= last ? ker_close_range(from, last, (int)flags) : 0;
}

/*
 * Descriptors of its own are what the only thread of a process has already. But there is the helper's, which would stay with
 * the former ones: what is opened from then on it would not know, and what is closed it would keep open.
 */
static unsigned without_unshare(unsigned flags)
{
	return flags & CLOSE_RANGE_UNSHARE && helper_is_only() ? flags & ~CLOSE_RANGE_UNSHARE : flags;
}

/*
 * Beside others of the program's (a sanitizer's run-time has one) the first thread leaves the former ones behind, and the helper is to have those
 * that the program goes on with: it ends, and one that is made afterwards has its maker's. Any other thread goes its own way. Return: there was one
 */
static bool unshare_begin(unsigned flags)
{
	return flags & CLOSE_RANGE_UNSHARE && SYS_CALL0(SYS_gettid) == sock.pid && helper_end();
}

int sock_close_range(unsigned first, unsigned last, int flags)
{
	bool again;
	int r;

	if (first > last || first > INT32_MAX || ((unsigned)flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) ||
	    !layer_began() || sock_inside || is_foreign())
		return (int)ret_errno(ker_close_range(first, last, flags));
	lock_take();
	flags = (int)without_unshare((unsigned)flags);
	again = unshare_begin((unsigned)flags);
	r = close_around_ours(first, last, (unsigned)flags);
	if (again)
		helper_again();
	if (sock.orphaned)
		away_closed();
	lock_leave();
	return (int)ret_errno(r);
}

/* ---- dup ------------------------------------------------------------------------------------------------------- */

/* @to is a new number for what is behind @f. Lock held. */
static int fd_share(int to, struct file *f)
{
	int err = fd_set_file(to, f);

	if (err) {
		sys_close(to);
		return err;
	}
	file_get(f);
	if (unlikely(to <= STDERR_FILENO))
		away_stdio(to);
	return to;
}

static int dup_with(int fd, int cmd, int arg)
{
	struct file *f;
	int to;

	if (fd_is_ours(fd) && !is_foreign())
		return (int)ret_errno(-EBADF);
	f = fd_peek(fd) ? file_enter(fd) : NULL;
	to = cmd < 0 ? ker_dup(fd) : sys_fcntl(fd, cmd, arg);
	if (to >= 0)
		why_forget(to);
	if (f) {
		if (to >= 0 && !is_foreign())
			to = fd_share(to, f);
		lock_leave();
	}
	return (int)ret_errno(to);
}

int sock_dup(int fd)
{
	return dup_with(fd, -1, 0);
}

static int dup_onto(int fd, int fd2, int flags)
{
	struct file *f, *old;
	int r;

	if ((!fd_peek(fd) && !fd_peek(fd2)) || is_foreign()) {
		r = ker_dup3(fd, fd2, flags);
		if (r >= 0)
			why_forget(fd2);
		return r;
	}
	if (fd_is_ours(fd))
		return -EBADF;
	if (fd_is_ours(fd2)) /* as the kernel answers when the number is just being opened */
		return -EBUSY;
	if (sock_inside)
		return ker_dup3(fd, fd2, flags);
	lock_take();
	f = fd_peek(fd);
	old = fd_peek(fd2);
	r = old == &internal_file ? -EBUSY : ker_dup3(fd, fd2, flags);
	if (r >= 0) {
		/* the number is the new file's before the old one is looked after, which may give the lock up */
		fd_set_file(fd2, NULL);
		why_forget(fd2);
		if (f)
			r = fd_share(fd2, f);
		if (old)
			number_gone(fd2, old);
		if (sock.orphaned)
			away_closed();
	}
	lock_leave();
	return r;
}

int sock_dup2(int fd, int fd2)
{
	if (unlikely(caged))
		return caged->dup2(fd, fd2);
	if (fd == fd2) {
		int r = sys_fcntl(fd, F_GETFD, 0);

		return (int)ret_errno(r < 0 ? r : fd2);
	}
	return (int)ret_errno(dup_onto(fd, fd2, 0));
}

int sock_dup3(int fd, int fd2, int flags)
{
	return (int)ret_errno(fd == fd2 ? -EINVAL : dup_onto(fd, fd2, flags));
}

/* ---- flags ----------------------------------------------------------------------------------------------------- */

/*
 * Of the flags in @which those in @flags are on, of a socket that we know, and @call sets them at the kernel's. Under the lock: who has the socket
 * non-blocking for a moment (queue.c) would take them back. Return: of @call; 0: it isn't for the kernel
 */
VJ_EARLY static int flags_set(int fd, int which, long flags, int (*call)(int fd, unsigned long req, long arg), unsigned long req, long arg)
{
	struct file *f = fd_peek(fd) ? file_enter(fd) : NULL;
	struct sock *s = file_sock(f);
	bool kernel_too = true, turns = s && s->state == SOCK_LISTEN && s->copied;
	int r = 0;

	if (!f)
		return call(fd, req, arg);
	if (unlikely(turns) && !queue_flags_begin(fd, f)) {
		lock_leave();
		return 0;
	}
	if (s) {
		if (which & O_NONBLOCK) {
			s->nonblock = flags & O_NONBLOCK;
			s->kernel_has = false; /* who doesn't block has taken it, perhaps, without a word to us */
			atomic_store_explicit(&s->calm, 0, memory_order_relaxed);
		}
		if (which & O_ASYNC)
			s->async = flags & O_ASYNC;
		if (which & O_APPEND)
			s->append = flags & O_APPEND;
		/* not a placeholder of several; one of its own may go on as the kernel's, or be connected again */
		kernel_too = !s->shared || s->token;
	}
	if (kernel_too)
		r = call(fd, req, arg);
	if (unlikely(turns))
		queue_flags_end(fd);
	lock_leave();
	return r;
}

VJ_EARLY static int setfl(int fd, unsigned long cmd, long arg)
{
	return (int)sys_fcntl(fd, (int)cmd, arg);
}

/* FIONBIO, FIOASYNC */
static int flag_ioctl(int fd, int flag, unsigned long req, long arg)
{
	return arg ? flags_set(fd, flag, *(const int *)arg ? flag : 0, ker_ioctl, req, arg) : -EFAULT;
}

VJ_EARLY static int conn_getfl(int fd)
{
	int flags = sys_fcntl(fd, F_GETFL, 0);
	struct sock *s = name_enter(fd);

	if (!s)
		return flags;
	if (flags >= 0 && !s->token)
		flags = (flags & ~(O_NONBLOCK | O_ASYNC | O_APPEND)) | (s->nonblock ? O_NONBLOCK : 0) | (s->async ? O_ASYNC : 0) |
			(s->append ? O_APPEND : 0);
	lock_leave();
	return flags;
}

VJ_EARLY int sock_fcntl(int fd, int cmd, long arg)
{
	if (likely(!fd_peek(fd)))
		return cmd == F_GETOWN ? owner_get(fd) : (int)ret_errno(sys_fcntl(fd, cmd, arg));
	if (fd_is_ours(fd) && !is_foreign())
		return (int)ret_errno(-EBADF);
	/* not of the switch, whose table lies on a page that a program which ends soon has no other use for */
	if (cmd == F_GETFL)
		return (int)ret_errno(conn_getfl(fd));
	if (cmd == F_SETFL)
		return (int)ret_errno(flags_set(fd, O_NONBLOCK | O_ASYNC | O_APPEND, arg, setfl, F_SETFL, arg));
	switch (cmd) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
		return dup_with(fd, cmd, (int)arg);
	case F_GETOWN:
		return owner_get(fd);
	case F_SETOWN:
	case F_SETOWN_EX:
	case F_GETOWN_EX:
	case F_SETSIG:
	case F_GETSIG:
		return (int)ret_errno(owner_fcntl(fd, cmd, arg));
	default:
		return (int)ret_errno(sys_fcntl(fd, cmd, arg));
	}
}

/* What recv() would give: nothing yet, as long as there was no frame to tell whoever called that he is accepted. */
static uint32_t bytes_to_read(const struct sock *s, const struct vj_conn_info *info)
{
	return info->unread_bytes && vj_recv(sock.vj, s->conn, &(uint8_t){ 0 }, 1, true) > 0 ? info->unread_bytes : 0;
}

static int conn_queue(int fd, unsigned long req, int *ret_bytes)
{
	struct vj_conn_info info = { .sz = sizeof(info) };
	struct sock *s = io_enter(fd);
	uint32_t pumped = 0, unread = 0;
	int r = 0;

	if (!s)
		return ker_ioctl(fd, req, (long)ret_bytes);
	if (!ret_bytes) {
		lock_leave();
		return -EFAULT;
	}
	if (s->state == SOCK_UDP) {
		r = req == FIONREAD ? dgram_next_bytes(s) : -EAGAIN;
		lock_leave();
		if (r < 0)
			return ker_ioctl(fd, req, (long)ret_bytes);
		*ret_bytes = r;
		return 0;
	}
	if (req == FIONREAD)
		ctx_process();
	if (likely(sock_is_conn(s)))
		r = vj_conn_info(sock.vj, s->conn, &info);
	else
		memset(&info, 0, sizeof(info));
	if (req == FIONREAD)
		unread = bytes_to_read(s, &info);
	if (unlikely(s->pumped))
		pumped = away_pumped_bytes(s);
	lock_leave();
	if (req == FIONREAD)
		*ret_bytes = (int)(unread + pumped);
	else
		*ret_bytes =
			(int)(info.unsent_bytes + (req == SIOCOUTQ ? info.in_flight_bytes : 0));
	return r;
}

/*
 * The time of the last datagram: of one that came by a channel it is that of this call, as the kernel's when it wasn't asked for times before. A
 * stream has none there. @ret: two long
 */
static int stamp_ioctl(int fd, unsigned req, void *ret)
{
	struct sock *s = io_enter(fd);
	bool udp = s && s->state == SOCK_UDP, here = udp && s->dgram->from_channel, none = s && !udp;
	struct timespec ts;

	if (s)
		lock_leave();
	if (none)
		return -ENOENT;
	if (!here)
		return ker_ioctl(fd, req, (long)ret);
	if (!ret)
		return -EFAULT;
	clock_gettime(CLOCK_REALTIME, &ts);
	if (req == SIOCGSTAMP_OLD || req == (unsigned)SIOCGSTAMP_NEW)
		ts.tv_nsec /= 1000;
	memcpy(ret, &ts, sizeof(ts));
	return 0;
}

VJ_EARLY int sock_ioctl(int fd, unsigned long req, long arg)
{
	if (likely(!fd_peek(fd)))
		return (int)ret_errno(ker_ioctl(fd, req, arg));
	switch ((unsigned)req) {
	case FIONBIO:
		return (int)ret_errno(flag_ioctl(fd, O_NONBLOCK, req, arg));
	case FIOASYNC:
		return (int)ret_errno(flag_ioctl(fd, O_ASYNC, req, arg));
	case FIOSETOWN:
	case SIOCSPGRP:
	case FIOGETOWN:
	case SIOCGPGRP:
		return (int)ret_errno(owner_ioctl(fd, (unsigned)req, (int *)arg));
	case FIONREAD:
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		return (int)ret_errno(conn_queue(fd, (unsigned)req, (int *)arg));
	case SIOCGSTAMP_OLD:
	case SIOCGSTAMPNS_OLD:
	case (unsigned)SIOCGSTAMP_NEW:
	case (unsigned)SIOCGSTAMPNS_NEW:
		return (int)ret_errno(stamp_ioctl(fd, (unsigned)req, (void *)arg));
	default:
		return (int)ret_errno(ker_ioctl(fd, req, arg));
	}
}
