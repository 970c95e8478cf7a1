// SPDX-License-Identifier: BSD-2-Clause
/*
 * adopt.c - descriptors that come from outside: left by the image that exec() replaced, or sent by another process
 *
 * What a descriptor is, the kernel says: a TCP socket that listens is one for channels too, from its first accept() on,
 * whoever made it (systemd's socket activation, the binary before an upgrade); one that is neither connected nor listening
 * may still become anything; a Unix socket may be the token of a connection on a channel (away.c). All others are the
 * kernel's.
 *
 * Standard input, output and error are looked at like any other.
 */
#include "sock/accept.h"
#include "sock/adopt.h"
#include "sock/away.h"
#include "sock/cmsg.h"
#include "sock/dgram.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/option.h"
#include "sock/queue.h"
#include "sock/why.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

enum { BACKLOG_UNKNOWN = 4096, FDS_WITHOUT_PROC = 64, FEW = 64, SOME = 256, STATE_LISTEN = 10, STATE_CLOSE = 7 };

/* Return: the option's value; -1: it has none, or this is no socket. */
VJ_EARLY static int int_option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return sys_getsockopt(fd, level, name, &value, &len) ? -1 : value;
}

/* Return: TCP's state, as TCP_INFO says it; -1: no TCP socket. */
static int tcp_state_of(int fd)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	if (int_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP ||
	    sys_getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		return -1;
	return info.tcpi_state;
}

bool is_kernel_conn(int fd)
{
	int state = fd_peek(fd) ? -1 : tcp_state_of(fd);

	return state >= 0 && state != STATE_LISTEN && state != STATE_CLOSE;
}

static bool is_bound(int fd)
{
	struct sockaddr_in6 name = { 0 };
	socklen_t len = sizeof(name);

	/* the port is at the same place in both families */
	return !sys_getsockname(fd, (struct sockaddr *)&name, &len) && name.sin6_port;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return sys_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? 0 : cookie;
}

/* One more number of a socket that is tracked already: of standard input and output, as inetd hands them on. */
static bool adopt_number(int fd)
{
	uint64_t cookie = cookie_of(fd);

	for (int other = fd_next(0); other >= 0 && cookie; other = fd_next(other + 1)) {
		struct file *f = fd_peek(other);

		if (f->kind == FILE_SOCK && cookie_of(other) == cookie) {
			if (!fd_set_file(fd, f))
				file_get(f);
			return true;
		}
	}
	return false;
}

static void adopt_tcp(int fd, int family, bool listens)
{
	struct sock *s;
	long flags = listens ? queue_flags(fd) : sys_fcntl(fd, F_GETFL, 0);

	s = layer_init() ? sock_alloc() : NULL;
	if (!s)
		return;
	s->family = (uint8_t)family;
	s->nonblock = flags >= 0 && (flags & O_NONBLOCK);
	s->bound = is_bound(fd);
	if (fd_set_file(fd, &s->file)) {
		sock_free(s);
		return;
	}
	options_found(fd, s);
	s->copied = s->inherited = true;
	if (listens)
		listener_found(s, BACKLOG_UNKNOWN);
}

void adopt_fd(int fd)
{
	int family = fd_peek(fd) || sock.barred ? -1 : int_option(fd, SOL_SOCKET, SO_DOMAIN);
	int state;

	why_forget(fd);
	if ((family != AF_UNIX && family != AF_INET && family != AF_INET6) || sock.exiting)
		return;
	if (family == AF_UNIX) {
		if (away_is_token(fd) && !adopt_number(fd))
			away_adopt(fd);
		else
			(void)dgram_adopt_note(fd);
		return;
	}
	if (int_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP) {
		if (!adopt_number(fd))
			dgram_adopt(fd, family);
		return;
	}
	state = tcp_state_of(fd);
	if ((state == STATE_LISTEN || state == STATE_CLOSE) && !adopt_number(fd))
		adopt_tcp(fd, family, state == STATE_LISTEN);
}

void message_fds(const struct msghdr *msg, void (*fn)(int fd))
{
	struct cmsghdr *c = sock_inside || is_wild(msg->msg_control) ? NULL : CMSG_FIRSTHDR(msg);

	for (; c && cmsg_is_whole(msg, c); c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)msg, c)) {
		const uint8_t *data = CMSG_DATA(c);
		int fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		lock_take();
		for (size_t at = 0; at + sizeof(fd) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(fd)) {
			memcpy(&fd, data + at, sizeof(fd));
			fn(fd);
		}
		lock_leave();
	}
}

void adopt_received(const struct msghdr *msg)
{
	message_fds(msg, adopt_fd);
}

/* ---- at the start ---------------------------------------------------------------------------------------------- */

/* Most programs have none, and go on without a function of libc's that would have to be looked up first. */
VJ_EARLY static void adopt_socket(int fd)
{
	int saved;

	if (int_option(fd, SOL_SOCKET, SO_DOMAIN) < 0)
		return;
	saved = errno;
	lock_take();
	adopt_fd(fd);
	lock_leave();
	errno = saved;
}

/* As getdents64(2) gives them */
struct dir_entry {
	uint64_t ino;
	int64_t off;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

/* Return: -1: "." and "..". What else is there are numbers. */
static int number_of(const char *name)
{
	int nr = 0;

	if (*name == '.')
		return -1;
	for (; *name; name++)
		nr = nr * 10 + (*name - '0');
	return nr;
}

/* All there are, by /proc. Making its entries takes the kernel some 40 us, for a program that has just begun. */
static VJ_NOINLINE void adopt_listed(void)
{
	_Alignas(struct dir_entry) uint8_t buf[2048];
	int dir = sys_openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	long len;

	for (int fd = 0; dir < 0 && fd < FDS_WITHOUT_PROC; fd++)
		adopt_socket(fd);
	while (dir >= 0 && (len = SYS_CALL3(SYS_getdents64, dir, buf, sizeof(buf))) > 0) {
		const struct dir_entry *entry;

		for (long at = 0; at < len; at += entry->bytes) {
			int fd;

			entry = (const struct dir_entry *)(const void *)(buf + at);
			fd = number_of(entry->name);
			if (fd >= 0 && fd != dir)
				adopt_socket(fd);
		}
	}
	if (dir >= 0)
		sys_close(dir);
}

/*
 * Is there no descriptor from @cnt on? select() leaves out what lies beyond the process's table, as select(2) says among its bugs: one
 * beyond is no error, and one that is merely closed is EBADF.
 */
VJ_EARLY static bool are_below(int cnt)
{
	enum { LONG_BITS = 8 * sizeof(unsigned long) };
	unsigned long set[SOME / LONG_BITS + 1] = { 0 };
	struct timespec now = { 0 };

	set[(unsigned)cnt / LONG_BITS] = 1ul << (unsigned)cnt % LONG_BITS;
	return sys_fcntl(cnt, F_GETFD, 0) == -EBADF && SYS_CALL6(SYS_pselect6, cnt + 1, set, NULL, NULL, &now, NULL) == 0;
}

/* Every program pays for this, most of them for nothing: which are open is one call, and a table of the kernel's begins with FEW. */
static void adopt_all(void)
{
	int cnt = are_below(FEW) ? FEW : are_below(SOME) ? SOME : 0;
	struct timespec now = { 0 };
	struct pollfd pfds[SOME];

	for (int fd = 0; fd < cnt; fd++)
		pfds[fd] = (struct pollfd){ .fd = fd };
	if (!cnt || sys_ppoll(pfds, (nfds_t)cnt, &now, NULL) < 0) {
		adopt_listed();
		return;
	}
	for (int fd = 0; fd < cnt; fd++)
		if (!(pfds[fd].revents & POLLNVAL))
			adopt_socket(fd);
}

__attribute__((constructor)) static void at_load(void)
{
	adopt_all();
}
