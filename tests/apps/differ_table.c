// SPDX-License-Identifier: BSD-2-Clause
/* differ_table.c - the table of calls that `differ_calls` draws from, and the calls that carry no data */
#include "differ.h"
#include "kernel_conn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <linux/sockios.h>
#include <sys/wait.h>
#include <unistd.h>



enum { SIOCOUTQNSD_NR = 0x894b };
enum { WAIT_US = 20000 }; /* what a call that would wait for ever waits */

/* ---- made and named --------------------------------------------------------------------------------------------- */

/* w[1]: family and type; w[2]: flags; w[3]: reuses; w[4]: V6ONLY */
static void run_socket(const struct step *st, int none)
{
	static const struct {
		int family, type;
		enum kind kind;
		const char *name;
	} types[] = { { AF_INET, SOCK_STREAM, KIND_TCP, "TCP4" }, { AF_INET6, SOCK_STREAM, KIND_TCP, "TCP6" }, { AF_INET, SOCK_DGRAM, KIND_UDP, "UDP4" },
		{ AF_INET6, SOCK_DGRAM, KIND_UDP, "UDP6" } };
	unsigned nr = st->w[1] % COUNT(types);
	int flags = PICK(st->w[2], ((const int[]){ 0, SOCK_NONBLOCK, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC }));
	int slot = slot_free(0), v6only = st->w[4] % 2, fd;

	(void)none;
	if (slot < 0)
		return put(": no slot");
	fd = socket(types[nr].family, types[nr].type | flags, 0);
	if (fd < 0)
		return put_result(fd);
	put(" %s flags %o: %d", types[nr].name, (unsigned)flags, slot);
	slots[slot] = (struct slot){ .fd = fd, .kind = types[nr].kind, .family = types[nr].family, .reuses = st->w[3] % 4 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_usec = WAIT_US }, sizeof(struct timeval));
	if (slots[slot].reuses && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)))
		put(" reuses");
	if (slots[slot].family == AF_INET6 && !setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)))
		put(" v6only %d", v6only);
}

/* A connection that was, and is none any more */
static bool is_over(const struct slot *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	return s->kind == KIND_TCP && poll(&p, 1, 0) == 1 && (p.revents & (POLLIN | POLLHUP)) == (POLLIN | POLLHUP);
}

/*
 * w[1]: address; w[2]: port; w[3]: what is wrong with it.
 * A port by number only for sockets that reuse them: channels know no TIME_WAIT, and one such port is one socket's life long. Nor is it given to
 * another TCP socket in this seed, for a connection to or from it may be in TIME_WAIT in the kernel.
 */
static void run_bind(const struct step *st, int slot)
{
	struct slot *s = &slots[slot];
	struct sockaddr_storage sa = { .ss_family = (sa_family_t)s->family };
	struct sockaddr_in *in = (struct sockaddr_in *)&sa;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
	socklen_t len = s->family == AF_INET ? sizeof(*in) : sizeof(*in6);
	unsigned nr = st->w[2] / 2 % 7;
	bool by_number = s->kind == KIND_UDP ? st->w[2] % 2 : st->w[2] % 2 && s->reuses && !(board->ported & 1u << nr);
	int r;

	if (is_over(s))
		return put(": not drawn, a connection that has failed can't be given another name on channels");
	if (s->family == AF_INET) {
		in->sin_addr.s_addr = htonl(PICK(st->w[1], ((const uint32_t[]){ INADDR_LOOPBACK, INADDR_ANY, INADDR_LOOPBACK, 0x7f000002, 0x08080808 })));
	} else {
		in6->sin6_addr = PICK(st->w[1], ((const struct in6_addr[]){ IN6ADDR_LOOPBACK_INIT, IN6ADDR_ANY_INIT, IN6ADDR_ANY_INIT,
			{ .s6_addr = { [10] = 0xff, 0xff, 127, 0, 0, 1 } }, { .s6_addr = { 0x20, 1, 0xd, 0xb8 } } }));
	}
	if (by_number)
		in->sin_port = htons(port_of(nr));
	else if (st->w[2] % 16 == 2 && board->places[me][st->w[4] % SLOTS].kind == s->kind) /* in use */
		in->sin_port = ((struct sockaddr_in *)&board->places[me][st->w[4] % SLOTS].addr)->sin_port;
	if (by_number && s->kind == KIND_TCP)
		board->ported |= 1u << nr;
	if (st->w[3] % 24 == 0)
		len -= 1 + st->w[3] / 24 % 12;
	else if (st->w[3] % 24 == 1)
		sa.ss_family = st->w[3] / 24 % 2 ? AF_UNIX : s->family == AF_INET ? AF_INET6 : AF_INET;
	put_addr(s->kind, &sa, len);
	r = bind(s->fd, (struct sockaddr *)&sa, len);
	put_result(r);
	if (!r)
		publish((unsigned)slot, !in->sin_port);
}

static void run_listen(const struct step *st, int slot)
{
	int backlog = PICK(st->w[1], ((const int[]){ 16, 8, 100, -1 })), r;

	put(" %d", backlog);
	if (slots[slot].unnamed)
		return put(": not drawn, it would have the address of its connection, and the error that is not told yet, in the kernel");
	r = listen(slots[slot].fd, backlog);
	put_result(r);
	slots[slot].listens |= !r;
	if (!r)
		publish((unsigned)slot, true);
}

/* IPv4 in IPv6 is IPv4. */
static int peer_family(const struct sockaddr_storage *sa)
{
	return sa->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&((const struct sockaddr_in6 *)sa)->sin6_addr) ? AF_INET : sa->ss_family;
}

/* Does it lead to a socket that both sides have? */
static bool is_listened_twice(const struct sockaddr_storage *to)
{
	unsigned has = 0;

	for (unsigned side = 0; side < SIDES; side++)
		for (unsigned i = 0; i < SLOTS; i++) {
			const struct place *p = &board->places[side][i];

			if (p->kind == KIND_TCP && ((const struct sockaddr_in *)&p->addr)->sin_port == ((const struct sockaddr_in *)to)->sin_port)
				has |= 1u << side;
		}
	return has == 3;
}

static void run_connect(const struct step *st, int slot)
{
	struct slot *s = &slots[slot];
	struct sockaddr_storage to;
	socklen_t len = target(st->w[1], s, &to);
	int r;

	put_addr(s->kind, &to, len);
	if (to.ss_family == AF_UNSPEC && s->kind == KIND_TCP && s->copied)
		return put(": not drawn, a connection that others had can't be a new socket");
	if (to.ss_family == AF_UNSPEC && s->kind == KIND_UDP && board->udp_unread[me])
		return put(": not drawn, what has come over channels goes with a port of the kernel's choice");
	if (s->kind == KIND_TCP && s->copied && is_over(s))
		return put(": not drawn, a connection that others had, and that has failed, can't be a new socket");
	if (s->kind == KIND_TCP && is_listened_twice(&to))
		return put(": not drawn, copies of a listening socket have a queue each on channels");
	if (s->kind == KIND_UDP && to.ss_family != AF_UNSPEC && !((struct sockaddr_in *)&to)->sin_port)
		return put(": not drawn, who is connected to no port is told of all that is refused on the kernel");
	if (s->kind == KIND_UDP && s->peer_family && to.ss_family != AF_UNSPEC && s->peer_family != peer_family(&to))
		return put(": not drawn, it keeps the address of its first connect() in the kernel, where nothing of the other family comes");
	if (s->kind == KIND_UDP && s->sent && to.ss_family != AF_UNSPEC)
		return put(": not drawn, what was sent to there may be refused after this");
	if (s->unnamed && peer_family(&to) == AF_INET6)
		return put(": not drawn, what was accepted by IPv4 sends in vain by IPv6 in the kernel");
	r = connect(s->fd, (struct sockaddr *)&to, len);
	put_result(r);
	if (!r && s->kind == KIND_UDP && to.ss_family == AF_UNSPEC) /* it may send from another port from now on: like another one */
		board->udp_sender = -1;
	if (!r)
		s->peer_family = to.ss_family == AF_UNSPEC ? 0 : peer_family(&to);
	if (!r || errno == EINPROGRESS)
		s->unnamed = s->kind == KIND_TCP && to.ss_family == AF_UNSPEC;
	s->renewed |= s->unnamed;
	if (!r && s->unnamed)
		board->places[me][slot] = (struct place){ 0 };
	else if (!r || errno == EINPROGRESS)
		publish((unsigned)slot, to.ss_family != AF_UNSPEC);
}

static void run_accept(const struct step *st, int slot)
{
	int flags = PICK(st->w[1], ((const int[]){ 0, 0, SOCK_NONBLOCK, SOCK_CLOEXEC, 1 })), into = slot_free(0), fd;
	struct sockaddr_storage sa = { 0 };
	socklen_t len = PICK(st->w[2], ((const socklen_t[]){ sizeof(sa), sizeof(sa), 5, 0, 16 }));
	struct slot *s = &slots[slot];

	if (into < 0)
		return put(": no slot");
	put(" flags %o%s", (unsigned)flags, st->w[3] % 4 ? "" : " no name");
	fd = AGAIN(accept4(s->fd, st->w[3] % 4 ? (struct sockaddr *)&sa : NULL, st->w[3] % 4 ? &len : NULL, flags));
	if (fd < 0)
		return put_result(fd);
	put(": %d", into);
	if (st->w[3] % 4)
		put_addr(s->kind, &sa, len);
	slots[into] = (struct slot){ .fd = fd, .kind = s->kind, .family = s->family, .named = true };
	board->conns++;
	board->on_channels += !kernel_has_conn(fd);
}

/* w[1]: whose; w[2]: how much room */
static void run_name(const struct step *st, int slot)
{
	struct sockaddr_storage sa = { 0 };
	socklen_t len = PICK(st->w[2], ((const socklen_t[]){ sizeof(sa), sizeof(sa), sizeof(sa), 16, 4, 0, (socklen_t)-1 }));
	bool peer = st->w[1] % 2;
	int r;

	if (!peer && slots[slot].unnamed)
		return put(": not drawn, no name");
	if (peer && slots[slot].copied && is_over(&slots[slot]))
		return put(": not drawn, it keeps its peer's name on channels while another process has it");
	r = (peer ? getpeername : getsockname)(slots[slot].fd, (struct sockaddr *)&sa, &len);

	put(peer ? " peer" : " own");
	put_result(r);
	if (!r)
		put_addr(slots[slot].kind, &sa, len);
}

static void run_shutdown(const struct step *st, int slot)
{
	int how = PICK(st->w[1], ((const int[]){ SHUT_RD, SHUT_WR, SHUT_WR, SHUT_RDWR, 3, -1 }));

	put(" %d", how);
	put_result(shutdown(slots[slot].fd, how));
}

/* w[1]: by which call; w[2]: reset */
static void run_close(const struct step *st, int slot)
{
	struct slot *s = &slots[slot];

	for (unsigned i = 0; i < SLOTS && s->copied; i++) /* docs/programs.md: the kernel's sets go on telling what another process has open */
		if (slots[i].kind == KIND_EPOLL)
			epoll_ctl(slots[i].fd, EPOLL_CTL_DEL, s->fd, NULL);
	if (st->w[2] % 6 == 0 && s->kind & KIND_SOCK) {
		struct linger l = { .l_onoff = 1, .l_linger = st->w[2] / 6 % 2 };

		put(" linger %d%s", l.l_linger, setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)) ? " refused" : "");
	}
	if (st->w[1] % 4 == 0) {
		put(" by close_range()");
		put_result(close_range((unsigned)s->fd, (unsigned)s->fd, 0));
	} else {
		put_result(close(s->fd));
	}
	slot_clear((unsigned)slot);
}

/* ---- descriptors ------------------------------------------------------------------------------------------------ */

/* The copy has the slot @into. */
static void copied(unsigned slot, unsigned into, int fd)
{
	if (into == slot)
		return;
	slots[into] = slots[slot];
	slots[into].fd = fd;
	board->places[me][into] = board->places[me][slot];
}

/* w[1]: by which call; w[2]: onto whom */
static void run_dup(const struct step *st, int slot)
{
	static const char *const names[] = { "dup", "F_DUPFD", "F_DUPFD_CLOEXEC", "dup2", "dup3", "dup2 onto itself" };
	unsigned how = st->w[1] % COUNT(names);
	int into = slot_free(0), from = slots[slot].fd, fd;

	put(" %s", names[how]);
	if (how < 3 && into < 0)
		return put(": no slot");
	if (how == 3 || how == 4)
		into = (int)(st->w[2] % SLOTS);
	if ((how == 3 || how == 4) && !slots[into].kind)
		return put(": nothing there");
	put(": %d", how == 5 ? slot : into);
	switch (how) {
	case 0:
		fd = dup(from);
		break;
	case 1:
	case 2:
		fd = fcntl(from, how == 1 ? F_DUPFD : F_DUPFD_CLOEXEC, 0);
		break;
	case 3:
		fd = dup2(from, slots[into].fd);
		break;
	case 4:
		fd = dup3(from, slots[into].fd, O_CLOEXEC);
		break;
	default:
		fd = dup2(from, from);
		return put_result(fd == from ? 0 : -1);
	}
	put_result(fd < 0 ? fd : 0);
	if (fd >= 0)
		copied((unsigned)slot, (unsigned)into, fd);
}

static void run_fcntl(const struct step *st, int slot)
{
	int fd = slots[slot].fd, flags;

	switch (st->w[1] % 8) {
	case 5: { /* what is asked of other kinds of descriptors */
		static const struct {
			int cmd;
			const char *name;
		} cmds[] = { { F_GETPIPE_SZ, "F_GETPIPE_SZ" }, { F_SETPIPE_SZ, "F_SETPIPE_SZ" }, { F_GET_SEALS, "F_GET_SEALS" }, { F_GETLEASE, "F_GETLEASE" },
			{ F_GETSIG, "F_GETSIG" }, { F_GETOWN, "F_GETOWN" }, { F_NOTIFY, "F_NOTIFY" }, { 4711, "4711" }, { F_SETSIG, "F_SETSIG" }, { F_SETOWN, "F_SETOWN" } };
		unsigned nr = st->w[2] % COUNT(cmds);

		put(" %s", cmds[nr].name);
		return put_result(fcntl(fd, cmds[nr].cmd, 0));
	}
	case 6:
		flags = PICK(st->w[2], ((const int[]){ -1, 1 << 30, 1 << 20 }));
		put(" F_DUPFD %d", flags);
		return put_result(fcntl(fd, st->w[3] % 2 ? F_DUPFD : F_DUPFD_CLOEXEC, flags));
	case 0:
	case 7:
		put(" F_GETFL");
		put_result(fcntl(fd, F_GETFL));
		break;
	case 1:
		flags = PICK(st->w[2], ((const int[]){ 0, O_NONBLOCK, O_APPEND, O_NONBLOCK | O_APPEND }));
		put(" F_SETFL %o", (unsigned)flags);
		put_result(fcntl(fd, F_SETFL, flags));
		break;
	case 2:
		put(" F_GETFD");
		put_result(fcntl(fd, F_GETFD));
		break;
	case 3:
		put(" F_SETFD %u", st->w[2] % 2);
		put_result(fcntl(fd, F_SETFD, st->w[2] % 2));
		break;
	default:
		flags = st->w[2] % 2;
		put(" FIONBIO %d", flags);
		put_result(ioctl(fd, FIONBIO, &flags));
	}
}

static void run_ioctl(const struct step *st, int slot)
{
	static const struct {
		unsigned long nr;
		const char *name;
	} names[] = { { FIONREAD, "FIONREAD" }, { SIOCATMARK, "SIOCATMARK" }, { SIOCOUTQNSD_NR, "SIOCOUTQNSD" }, { 0x5401, "TCGETS" }, { 0x8905 + 0x100, "0x8a05" },
		{ FIOGETOWN, "FIOGETOWN" }, { SIOCGPGRP, "SIOCGPGRP" }, { SIOCGSTAMP_OLD, "SIOCGSTAMP" }, { FIOASYNC, "FIOASYNC 0" }, { FIONBIO, "FIONBIO 0" } };
	unsigned nr = st->w[1] % COUNT(names);
	bool nowhere = st->w[2] % 8 == 0;
	int value[64] = { 0 }, r;

	put(" %s", names[nr].name);
	if (names[nr].nr == SIOCOUTQNSD_NR && slots[slot].unnamed)
		return put(": not drawn, the kernel counts what it has skipped");
	put(nowhere ? " nowhere" : "");
	r = ioctl(slots[slot].fd, names[nr].nr, nowhere ? NULL : value);
	put_result(r);
	if (!r && names[nr].nr != SIOCGSTAMP_OLD)
		put(" %d", value[0]);
}

/* What is no call of sockets, or not on something that is open */
static void run_wrong(const struct step *st, int slot)
{
	int fd = slots[slot].fd, closed = 700;
	struct stat s;
	char byte = 0;

	switch (st->w[1] % 10) {
	case 0:
		put(" lseek");
		return put_result(lseek(fd, 0, SEEK_CUR));
	case 1:
		put(" pread");
		return put_result(pread(fd, &byte, 1, 0));
	case 2:
		put(" pwrite");
		return put_result(pwrite(fd, &byte, 1, 0));
	case 3:
		put(" fstat");
		put_result(fstat(fd, &s));
		return put(" %o", (unsigned)s.st_mode & S_IFMT);
	case 4:
		put(" fsync");
		return put_result(fsync(fd));
	case 5:
		put(" ftruncate");
		return put_result(ftruncate(fd, 0));
	case 6:
		put(" closed: recv");
		return put_result(recv(closed, &byte, 1, 0));
	case 7:
		put(" closed: send");
		return put_result(send(closed, &byte, 1, 0));
	case 8:
		put(" closed: close");
		return put_result(close(closed));
	default:
		put(" closed: getsockopt");
		return put_result(getsockopt(closed, SOL_SOCKET, SO_TYPE, &s, &(socklen_t){ 4 }));
	}
}

static void run_file(const struct step *st, int none)
{
	int slot = slot_free(0);

	(void)st;
	(void)none;
	if (slot < 0)
		return put(": no slot");
	slots[slot] = (struct slot){ .fd = open("/dev/null", O_RDWR), .kind = KIND_FILE };
	put(": %d", slot);
}

/* ---- who waits -------------------------------------------------------------------------------------------------- */

static void run_poll(const struct step *st, int slot)
{
	struct pollfd p[3];
	unsigned cnt = 1 + st->w[1] % 3;
	int r;

	for (unsigned i = 0; i < cnt; i++) {
		const struct slot *s = &slots[i ? st->w[1 + i] % SLOTS : (unsigned)slot];

		p[i] = (struct pollfd){ .fd = s->kind ? s->fd : (int)PICK(st->w[4], ((const int[]){ -1, 700 })),
			.events = PICK(st->w[5 + i], ((const short[]){ POLLIN, POLLOUT, POLLIN | POLLOUT, 0, POLLRDHUP, POLLPRI, POLLRDNORM, POLLWRNORM | POLLRDBAND })) };
	}
	r = poll(p, cnt, 0);
	put_result(r);
	for (unsigned i = 0; i < cnt; i++) {
		put(" %x:", (unsigned)p[i].events);
		put_bits((uint32_t)p[i].revents);
	}
}

static void run_select(const struct step *st, int slot)
{
	int fd = slots[slot].fd, r;
	struct timeval none = { 0 };
	fd_set in, out, ex;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&ex);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	FD_SET(fd, &ex);
	r = select(fd + 1, &in, st->w[1] % 2 ? &out : NULL, st->w[2] % 2 ? &ex : NULL, &none);
	put_result(r);
	if (r >= 0)
		put("%s%s%s", FD_ISSET(fd, &in) ? " in" : "", st->w[1] % 2 && FD_ISSET(fd, &out) ? " out" : "", st->w[2] % 2 && FD_ISSET(fd, &ex) ? " ex" : "");
}

static void run_epoll_create(const struct step *st, int none)
{
	int slot = slot_free(0);

	(void)none;
	if (slot < 0)
		return put(": no slot");
	put(": %d", slot);
	slots[slot] = (struct slot){ .fd = epoll_create1(st->w[1] % 2 ? EPOLL_CLOEXEC : 0), .kind = KIND_EPOLL };
}

/* Of whom: w[1]; op: w[2]; events: w[3] */
static void run_epoll_ctl(const struct step *st, int slot)
{
	static const struct {
		int op;
		const char *name;
	} ops[] = { { EPOLL_CTL_ADD, "ADD" }, { EPOLL_CTL_ADD, "ADD" }, { EPOLL_CTL_MOD, "MOD" }, { EPOLL_CTL_DEL, "DEL" }, { 7, "7" } };
	static const uint32_t events[] = { EPOLLIN, EPOLLIN | EPOLLOUT, EPOLLIN | EPOLLET, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, EPOLLIN | EPOLLONESHOT, EPOLLOUT | EPOLLONESHOT,
		EPOLLIN | EPOLLEXCLUSIVE, 0, EPOLLRDHUP, EPOLLOUT | EPOLLET, EPOLLIN | EPOLLRDHUP | EPOLLONESHOT | EPOLLET, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP };
	unsigned whom = st->w[1] % SLOTS, nr = st->w[2] % 16 ? st->w[2] / 16 % 4 : 4;
	struct epoll_event ev = { .events = PICK(st->w[3], events), .data.u32 = whom };

	put(" %s %u %x", ops[nr].name, whom, ev.events);
	put_result(epoll_ctl(slots[slot].fd, ops[nr].op, slots[whom].kind ? slots[whom].fd : 700, st->w[4] % 24 ? &ev : NULL));
}

static int event_order(const void *a, const void *b)
{
	const struct epoll_event *x = a, *y = b;

	return x->data.u32 != y->data.u32 ? (x->data.u32 > y->data.u32) - (x->data.u32 < y->data.u32) : (x->events > y->events) - (x->events < y->events);
}

/* The order in which they became ready is not told. */
static void run_epoll_wait(const struct step *st, int slot)
{
	struct epoll_event ev[16];
	int max = st->w[1] % 16 ? 16 : PICK(st->w[1] / 16, ((const int[]){ 0, -1 })), r;

	r = st->w[2] % 3 == 0 ? epoll_pwait2(slots[slot].fd, ev, max, &(struct timespec){ 0 }, NULL) : st->w[2] % 3 == 1 ? epoll_pwait(slots[slot].fd, ev, max, 0, NULL) :
		epoll_wait(slots[slot].fd, ev, max, 0);
	put_result(r);
	if (r > 1)
		qsort(ev, (size_t)r, sizeof(*ev), event_order);
	for (int i = 0; i < r; i++) {
		put(" %u:", ev[i].data.u32);
		put_bits(ev[i].events);
	}
}

/* ---- processes -------------------------------------------------------------------------------------------------- */

/*
 * w[1]: who goes on. The other has its descriptors closed when this returns.
 */
static void run_fork(const struct step *st, int none)
{
	bool child_goes_on = st->w[1] % 2;
	int p[2], status;
	char byte;
	pid_t pid;

	(void)none;
	for (unsigned i = 0; i < SLOTS; i++)
		slots[i].copied = true;
	put(" %s goes on", child_goes_on ? "child" : "parent");
	if (child_goes_on) /* what it sends goes by the kernel from now on, and may overtake: like another one */
		board->udp_sender = -1;
	if (pipe2(p, O_CLOEXEC))
		return;
	pid = fork();
	if ((pid != 0) == child_goes_on) {
		for (unsigned i = 0; i < SLOTS; i++)
			if (slots[i].kind)
				close(slots[i].fd);
		close(p[0]);
		close(p[1]);
		if (!pid)
			_exit(0);
		alarm(0); /* the child's steps have one each */
		waitpid(pid, &status, 0);
		if (WIFSIGNALED(status))
			fprintf(stderr, "differ_calls: side %d ended by signal %d\n", me, WTERMSIG(status));
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
	}
	close(p[1]);
	read(p[0], &byte, 1); /* the end of file */
	close(p[0]);
	if (pid)
		waitpid(pid, NULL, 0);
}

/* To be read, or an error to be told */
static bool has_something(const struct slot *s)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	return poll(&p, 1, 0) != 0 && p.revents & (POLLIN | POLLERR);
}

/* w[1]: keeps it as well */
static void run_give(const struct step *st, int slot)
{
	struct slot what = slots[slot];
	struct iovec iov = { &what, sizeof(what) };
	union {
		struct cmsghdr c;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .c = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	long r;

	if (slots[slot].kind == KIND_UDP && has_something(&slots[slot]))
		return put(": not drawn, what has come over channels is had by programs under vj run only");
	if (slots[slot].unnamed && has_something(&slots[slot]))
		return put(": not drawn, the error that connect() to nowhere leaves stays with the process");
	slots[slot].copied = what.copied = true;
	memcpy(CMSG_DATA(&control.c), &what.fd, sizeof(int));
	r = sendmsg(hand_over, &msg, 0);
	put_result(r < 0 ? r : 0);
	board->given = r >= 0 ? 1 + me : 0;
	if (st->w[1] % 2) {
		put(" keeps it");
		return;
	}
	close(slots[slot].fd);
	slot_clear((unsigned)slot);
}

void take_given(void)
{
	struct slot what;
	struct iovec iov = { &what, sizeof(what) };
	union {
		struct cmsghdr c;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	int slot = slot_free(0);
	long r = recvmsg(hand_over, &msg, MSG_CMSG_CLOEXEC);

	board->given = 0;
	put("    %c takes", "AB"[me]);
	if (r < 0)
		return put_result(r);
	memcpy(&what.fd, CMSG_DATA(&control.c), sizeof(int));
	if (slot < 0) {
		close(what.fd);
		return put(": no slot");
	}
	put(": %d", slot);
	slots[slot] = what;
	if (what.named && !what.unnamed)
		publish((unsigned)slot, false);
}

/* ---- the table -------------------------------------------------------------------------------------------------- */

const struct call calls[] = {
	{ "socket", 20, 0, LIKES_ALL, run_socket },
	{ "bind", 24, KIND_SOCK, LIKES_OTHERS, run_bind },
	{ "listen", 12, KIND_TCP, LIKES_OTHERS, run_listen },
	{ "connect", 50, KIND_SOCK, LIKES_OTHERS, run_connect },
	{ "accept", 40, KIND_TCP, LIKES_LISTENING, run_accept },
	{ "name", 30, KIND_SOCK, LIKES_ALL, run_name },
	{ "shutdown", 16, KIND_SOCK, LIKES_ALL, run_shutdown },
	{ "close", 20, KIND_ANY, LIKES_ALL, run_close },
	{ "send", 110, KIND_SOCK, LIKES_OTHERS, run_send },
	{ "recv", 110, KIND_SOCK, LIKES_OTHERS, run_recv },
	{ "sendmmsg", 12, KIND_SOCK, LIKES_OTHERS, run_sendmmsg },
	{ "recvmmsg", 12, KIND_SOCK, LIKES_OTHERS, run_recvmmsg },
	{ "sendfile", 6, KIND_TCP, LIKES_OTHERS, run_sendfile },
	{ "splice", 8, KIND_TCP, LIKES_OTHERS, run_splice },
	{ "dup", 10, KIND_ANY, LIKES_ALL, run_dup },
	{ "fcntl", 16, KIND_ANY, LIKES_ALL, run_fcntl },
	{ "ioctl", 12, KIND_SOCK, LIKES_OTHERS, run_ioctl },
	{ "wrong", 8, KIND_ANY, LIKES_ALL, run_wrong },
	{ "file", 2, 0, LIKES_ALL, run_file },
	{ "setsockopt", 50, KIND_SOCK, LIKES_ALL, run_setsockopt },
	{ "getsockopt", 50, KIND_SOCK, LIKES_ALL, run_getsockopt },
	{ "options", 16, KIND_SOCK, LIKES_ALL, run_options },
	{ "poll", 16, KIND_ANY, LIKES_ALL, run_poll },
	{ "select", 8, KIND_ANY, LIKES_ALL, run_select },
	{ "epoll_create", 8, 0, LIKES_ALL, run_epoll_create },
	{ "epoll_ctl", 40, KIND_EPOLL, LIKES_ALL, run_epoll_ctl },
	{ "epoll_wait", 40, KIND_EPOLL, LIKES_ALL, run_epoll_wait },
	{ "fork", 3, 0, LIKES_ALL, run_fork },
	{ "give", 6, KIND_SOCK, LIKES_ALL, run_give },
};
const unsigned call_cnt = COUNT(calls);

unsigned call_by_name(const char *name)
{
	unsigned i = 0;

	while (i + 1 < call_cnt && strcmp(calls[i].name, name) != 0)
		i++;
	return i;
}

unsigned call_drawn(uint32_t word)
{
	unsigned sum = 0, i = 0;

	for (unsigned c = 0; c < call_cnt; c++)
		sum += calls[c].weight;
	for (word %= sum; word >= calls[i].weight; i++)
		word -= calls[i].weight;
	return i;
}

/* ---- beginnings ------------------------------------------------------------------------------------------------- */

struct begin {
	int side;
	const char *call;
	uint32_t w[5];
};

/* w of each: see the calls. Side A's slot 0 is bound or listens, side B's slot 0 goes there. */
static const struct begin begins[][6] = {
	{ { 0, "socket", { 0, 0, 1, 1, 0 } }, { 0, "bind", { 0, 0, 0, 2, 0 } }, { 0, "listen", { 0 } }, { 1, "socket", { 0, 0, 0, 1, 0 } }, { 1, "connect", { 0, 262 } }, { 0, "accept", { 0 } } },
	{ { 0, "socket", { 0, 1, 0, 1, 0 } }, { 0, "bind", { 0, 0, 0, 2, 0 } }, { 0, "listen", { 0 } }, { 1, "socket", { 0, 1, 1, 1, 0 } }, { 1, "connect", { 0, 262 } }, { 0, "accept", { 0 } } },
	{ { 0, "socket", { 0, 1, 1, 1, 0 } }, { 0, "bind", { 0, 1, 0, 2, 0 } }, { 0, "listen", { 0 } }, { 1, "socket", { 0, 0, 0, 1, 0 } }, { 1, "connect", { 0, 262 } }, { 0, "accept", { 0 } } },
	{ { 0, "socket", { 0, 2, 1, 1, 0 } }, { 0, "bind", { 0, 0, 0, 2, 0 } }, { 0, "recv", { 0 } }, { 1, "socket", { 0, 2, 0, 1, 0 } }, { 1, "connect", { 0, 262 } }, { 1, "send", { 0, 5 } } },
	{ { 0, "socket", { 0, 3, 1, 1, 0 } }, { 0, "bind", { 0, 1, 0, 2, 0 } }, { 0, "recv", { 0 } }, { 1, "socket", { 0, 2, 0, 1, 0 } }, { 1, "connect", { 0, 262 } }, { 1, "send", { 0, 5 } } },
	{ { 0, "socket", { 0, 3, 1, 1, 0 } }, { 0, "bind", { 0, 0, 0, 2, 0 } }, { 0, "recv", { 0 } }, { 1, "socket", { 0, 3, 0, 1, 0 } }, { 1, "connect", { 0, 262 } }, { 1, "send", { 0, 5 } } },
};

bool opening(uint64_t seed, unsigned nr, struct step *ret_step)
{
	const struct begin *b = begins[seed % COUNT(begins)];

	if (nr >= COUNT(begins[0]))
		return false;
	*ret_step = (struct step){ .side = b[nr].side, .call = call_by_name(b[nr].call) };
	memcpy(ret_step->w, b[nr].w, sizeof(b[nr].w));
	return true;
}
