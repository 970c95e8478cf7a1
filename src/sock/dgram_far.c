// SPDX-License-Identifier: BSD-2-Clause
/*
 * dgram_far.c - copies of UDP sockets in processes that share no memory with the holder: by exec(), or by message
 *
 * Such a copy is an heir, too (dgram_copy.c), but has neither parcel nor line. So before another process can get one, the socket gets a name: the abstract
 * name of a listening Unix socket, made of SO_COOKIE, which is the same for all copies. A process that begins with a UDP socket for which there is such a name
 * is an heir; its first use connects to the name and asks:
 *
 *	heir                                              who has the name
 *	 │ ASK: a copy of the socket, as proof ────────────►│ HELD, has it on channels: gives the port to the kernel, as for any heir
 *	 │                                                  │ FREE, hasn't: never will have
 *	 │◄────────────────────────── PARCEL, or the end ───│ HELD: what it has not read
 *	 │ reads the parcel, then the kernel
 *
 * Cookies can be guessed, and any user may take a name first: so nothing is sent, the copy least of all, unless the same user or root listens. A process that
 * finds its name taken leaves the socket to the kernel. A process without a context has no helper to answer, so it uses the FREE name, at which an asker does
 * not wait for an answer. Before such a process puts the socket on channels it takes the HELD name, then looks for questions at FREE; an asker at FREE looks
 * for HELD once more afterwards. So one of the two sees the other.
 *
 * A holder that becomes another program itself leaves its unread datagrams in a NOTE: a Unix socket that is one more descriptor of that program, until its
 * library has begun. If a holder ends before its heir asks, the datagrams that it has not read are lost.
 */
#include "sock/dgram_priv.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/undo.h"

#include "lib/deed.h"
#include "lib/own_fd.h"
#include "lib/report.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

enum {
	ANSWER_MS = 10000,
	ANSWER_LOOK_MS = 20,
	FAR_MAGIC = 0x66646a76,
	BACKLOG = 100,	/* who waits to be accepted; less than any system allows */
	SILENT_MAX = 16, /* who has connected and shown nothing yet: anybody can */
};

enum far_kind {
	FAR_ASK = 1, /* descriptor: a copy */
	FAR_PARCEL,  /* descriptor: the parcel */
	FAR_NOTE,    /* the same, unasked, of the socket at a number */
};

struct far_msg {
	uint32_t magic; /* FAR_MAGIC */
	uint32_t kind;
	int32_t nr; /* NOTE */
	uint32_t zero;
	uint64_t cookie;
};

/* Who has connected; if `proved`, asked, and waits */
struct asked {
	struct asked *next;
	int fd;
	uint32_t uid; /* whose process it is */
	bool proved;
};

/* ---- messages ---------------------------------------------------------------------------------------------------- */

union far_control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(sizeof(int))];
};

/* Return: 0; -errno. Does not wait. */
static int far_send(int fd, const struct far_msg *msg, int passed)
{
	union far_control control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)(uintptr_t)msg, sizeof(*msg) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct own_fd_room room;
	long n;

	memcpy(CMSG_DATA(&control.head), &passed, sizeof(passed));
	own_fd_begin(&room);
	do
		n = sys_sendmsg(fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -EINTR);
	own_fd_end(&room);
	return n < 0 ? (int)n : 0;
}

/* The first descriptor is kept: there may be more than are of use. Return: how many came */
static unsigned cmsg_take(struct msghdr *hdr, int *ret_fd)
{
	unsigned cnt = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		for (size_t at = 0; c->cmsg_type == SCM_RIGHTS && CMSG_LEN(at + sizeof(int)) <= c->cmsg_len; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (cnt++)
				sys_close(fd);
			else
				*ret_fd = own_fd(fd);
		}
	}
	return cnt;
}

/*
 * One message of that kind, and its descriptor.
 * Return: 0; -EBADMSG: another one; -EAGAIN: nothing is there; -EPIPE: there will be nothing.
 */
static int far_recv(int fd, enum far_kind kind, struct far_msg *ret_msg, int *ret_fd)
{
	union far_control control;
	struct iovec iov = { ret_msg, sizeof(*ret_msg) };
	struct msghdr hdr = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct own_fd_room room;
	unsigned cnt;
	int got = -1;
	long n;

	own_fd_begin(&room);
	do
		n = sys_recvmsg(fd, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n == -EINTR);
	own_fd_end(&room);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n < 0 || (n == 0 && !hdr.msg_controllen))
		return -EPIPE;
	cnt = cmsg_take(&hdr, &got);
	if (n == sizeof(*ret_msg) && ret_msg->magic == FAR_MAGIC && ret_msg->kind == (uint32_t)kind && cnt == 1) {
		*ret_fd = got;
		return 0;
	}
	own_fd_close(got);
	return -EBADMSG;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return sys_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? 0 : cookie;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

static const char free_name[] = "vjchan/udp-free/", held_name[] = "vjchan/udp-held/", note_name[] = "vjchan/udp-note/";

/* An abstract name of @what and @cookie. Return: its length */
static socklen_t name_make(const char *what, uint64_t cookie, struct sockaddr_un *ret_name)
{
	int len;

	memset(ret_name, 0, sizeof(*ret_name));
	ret_name->sun_family = AF_UNIX;
	len = snprintf(ret_name->sun_path + 1, sizeof(ret_name->sun_path) - 1, "%s%016llx", what, (unsigned long long)cookie);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len);
}

static int unix_socket(void)
{
	return OWN_FD_MAKE(sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

/* Return: a socket that has that name, and listens; -errno: -EADDRINUSE: another one has */
static int named_socket(const char *what, uint64_t cookie)
{
	struct sockaddr_un name;
	int fd = cookie ? unix_socket() : -ENOTSUP, err;

	if (fd < 0)
		return fd;
	err = sys_bind(fd, (struct sockaddr *)&name, name_make(what, cookie, &name));
	if (!err)
		err = sys_listen(fd, BACKLOG);
	if (err) {
		own_fd_close(fd);
		return err;
	}
	return fd;
}

/* Return: the user of the other end; UINT32_MAX: not known */
static uint32_t peer_uid(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return sys_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) ? UINT32_MAX : cred.uid;
}

static uint32_t own_uid(void)
{
	return (uint32_t)SYS_CALL0(SYS_geteuid);
}

/* Return: a socket that is connected to who has that name; -ECONNREFUSED: nobody has; -EAGAIN: there is no room; -EPERM: another user has */
static int name_connect(const char *what, uint64_t cookie)
{
	int fd = cookie ? unix_socket() : -ENOTSUP, err;
	struct sockaddr_un name;
	uint32_t uid;

	if (fd < 0)
		return fd;
	err = sys_connect(fd, (struct sockaddr *)&name, name_make(what, cookie, &name));
	uid = err ? 0 : peer_uid(fd);
	if (!err && uid && uid != own_uid())
		err = -EPERM;
	if (!err)
		return fd;
	own_fd_close(fd);
	return err;
}

int far_name(struct sock *s)
{
	struct dgram *d = s->dgram;
	int fd = d->name_fd < 0 ? fd_of_file(&s->file) : -1, err;

	if (fd < 0)
		return 0;
	d->cookie = cookie_of(fd);
	d->name_fd = named_socket(d->open ? held_name : free_name, d->cookie);
	err = d->name_fd < 0 ? d->name_fd : d->open ? deed_bell(sock.vj, d->name_fd) : 0;
	if (err)
		far_unname(d);
	return err;
}

void far_hold(struct sock *s)
{
	struct dgram *d = s->dgram;
	int held;

	if (d->name_fd < 0)
		return;
	held = named_socket(held_name, d->cookie);
	far_look(s);
	if (d->stays || held < 0) {
		d->stays = true;
		s->why = REPORT_WHY_FORKED;
		own_fd_close(held);
		return;
	}
	own_fd_close(d->name_fd);
	d->name_fd = held;
}

void far_held(int fd, struct sock *s)
{
	struct dgram *d = s->dgram;

	if (d->open && d->name_fd >= 0) {
		(void)deed_bell(sock.vj, d->name_fd); /* those who have asked by now ring, too */
	} else if (d->open && !(sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC)) {
		(void)far_name(s); /* libc starts programs unseen: wordexp(), pidfd_spawn() */
	} else if (d->name_fd >= 0) {
		far_look(s);
		far_unname(d);
		if (!d->stays && far_name(s))
			d->stays = true;
	}
}

static void asked_drop(struct dgram *d)
{
	for (struct asked *a = d->asked, *next; a; a = next) {
		next = a->next;
		own_fd_close(a->fd);
		free(a);
	}
	d->asked = NULL;
}

void far_unname(struct dgram *d)
{
	own_fd_close(d->name_fd);
	d->name_fd = -1;
	asked_drop(d);
}

void far_free(struct dgram *d)
{
	far_unname(d);
	own_fd_close(d->note_fd);
	d->note_fd = -1;
}

/* They are the parent's, and closed with all the library's. */
void far_forked(struct dgram *d)
{
	for (struct asked *a = d->asked, *next; a; a = next) {
		next = a->next;
		free(a);
	}
	d->asked = NULL;
	d->name_fd = d->note_fd = -1;
}

/* ---- who is asked ------------------------------------------------------------------------------------------------ */

void far_answer(struct sock *s)
{
	struct dgram *d = s->dgram;
	struct far_msg msg = { .magic = FAR_MAGIC, .kind = FAR_PARCEL, .cookie = d->cookie };

	for (const struct asked *a = d->asked; a; a = a->next)
		if (a->proved && d->parcel && !parcel_is_empty(d->parcel))
			(void)far_send(a->fd, &msg, d->parcel_fd);
	asked_drop(d);
	if (!d->parcel || parcel_is_empty(d->parcel)) /* nothing to be had any more */
		far_unname(d);
}

static bool is_over(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return sys_poll_ms(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLERR));
}

bool far_is_asked(const struct dgram *d)
{
	const struct asked *a = d->asked;

	while (a && !a->proved)
		a = a->next;
	return a;
}

/* Return: how many there were. Who is another user than root's or ours would not ask us (name_connect()), unless we are root. */
static unsigned asked_accept(struct dgram *d)
{
	uint32_t own = own_uid();
	unsigned cnt = 0;
	int fd;

	for (; cnt <= BACKLOG && (fd = OWN_FD_MAKE(sys_accept4(d->name_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC))) >= 0; cnt++) {
		uint32_t uid = peer_uid(fd);
		struct asked *a = !own || !uid || uid == own ? malloc(sizeof(*a)) : NULL;

		if (!a) {
			own_fd_close(fd);
			continue;
		}
		*a = (struct asked){ .next = d->asked, .fd = fd, .uid = uid };
		d->asked = a;
		if (sock.vj)
			(void)deed_bell(sock.vj, fd); /* what it sends may not be there yet */
	}
	return cnt;
}

/* Does it show a copy? Return: 0; -EAGAIN: nothing yet; other -errno: it has none */
static int asked_prove(const struct dgram *d, struct asked *a)
{
	struct far_msg msg;
	int fd, err = far_recv(a->fd, FAR_ASK, &msg, &fd);

	if (err)
		return err;
	a->proved = cookie_of(fd) == d->cookie;
	own_fd_close(fd);
	return a->proved ? 0 : -EBADMSG;
}

/* How many came after @a, of the same user, and have not asked yet? */
static unsigned silent_after(const struct dgram *d, const struct asked *a)
{
	unsigned cnt = 0;

	for (const struct asked *o = d->asked; o != a; o = o->next)
		cnt += !o->proved && o->uid == a->uid;
	return cnt;
}

/* Who has asked, and of the others each user's latest, are kept: nobody is kept out by another user. */
static void asked_sort(struct dgram *d)
{
	for (struct asked **at = &d->asked, *a; (a = *at);) {
		int err = a->proved ? 0 : asked_prove(d, a);
		/* who has not waited for the answer of one that is on channels has ended; else nobody waits */
		bool keep = !err ? !d->open || !is_over(a->fd) : err == -EAGAIN && silent_after(d, a) < SILENT_MAX;

		if (keep) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		own_fd_close(a->fd);
		free(a);
	}
}

void far_look(struct sock *s)
{
	struct dgram *d = s->dgram;
	bool full = asked_accept(d) > BACKLOG; /* who came then could not ask */

	asked_sort(d);
	if (d->open || (!far_is_asked(d) && !full))
		return;
	if (d->parcel)
		(void)parcel_claim(d->parcel);
	d->stays = true;
	s->why = REPORT_WHY_FORKED;
	far_answer(s);
}

/* ---- who asks ---------------------------------------------------------------------------------------------------- */

/* Return: where the answer comes; -errno as name_connect() */
static int ask(const char *what, int fd)
{
	struct far_msg msg = { .magic = FAR_MAGIC, .kind = FAR_ASK, .cookie = cookie_of(fd) };
	int to = fd < 0 ? -EBADF : name_connect(what, msg.cookie), err; /* the program may have closed it meanwhile */

	if (to < 0)
		return to;
	err = far_send(to, &msg, fd);
	if (!err)
		return to;
	own_fd_close(to);
	return err;
}

/* The descriptor that a jump would leave behind */
struct far_claim {
	struct undo undo;
	int answer;
};

static void claim_left(void *arg)
{
	const struct far_claim *c = arg;

	lock_take();
	own_fd_close(c->answer);
	lock_leave();
}

/* Until the answer is there, or nobody is who would give it. Gives the lock up. */
static void answer_wait(struct sock *s, const struct far_claim *c)
{
	struct far_msg msg;
	int fd, err = -EAGAIN;

	for (int ms = 0; ms < ANSWER_MS && err == -EAGAIN; ms += ANSWER_LOOK_MS) {
		struct pollfd pfd = { .fd = c->answer, .events = POLLIN };

		lock_leave();
		sys_poll_ms(&pfd, 1, ANSWER_LOOK_MS);
		lock_take();
		if (sock_undo != &c->undo) /* it was left, within a handler */
			return;
		err = far_recv(c->answer, FAR_PARCEL, &msg, &fd);
	}
	if (!err)
		(void)parcel_take(s->dgram, fd);
}

/* Return: where there will be an answer, or the end; -errno: nobody would. Gives the lock up where there is no room. */
static int ask_either(const struct sock *s)
{
	int answer = ask(held_name, fd_of_file(&s->file));

	for (int ms = 0; answer == -EAGAIN && ms < ANSWER_MS; ms++) {
		lock_leave();
		sys_poll_ms(NULL, 0, 1);
		lock_take();
		answer = ask(held_name, fd_of_file(&s->file));
	}
	if (answer != -ECONNREFUSED)
		return answer;
	own_fd_close(ask(free_name, fd_of_file(&s->file))); /* what was sent stays there */
	return ask(held_name, fd_of_file(&s->file));
}

void far_claim(struct sock *s)
{
	struct far_claim c = { .answer = -1 };
	int answer;

	undo_push(&c.undo, claim_left, &c);
	answer = ask_either(s);
	if (sock_undo == &c.undo) {
		c.answer = answer;
		if (answer >= 0)
			answer_wait(s, &c);
	} else {
		own_fd_close(answer);
	}
	if (undo_pop(&c.undo))
		own_fd_close(c.answer);
}

/* ---- what a program begins with ---------------------------------------------------------------------------------- */

static bool is_named(const char *what, uint64_t cookie)
{
	int fd = name_connect(what, cookie);

	own_fd_close(fd);
	return fd >= 0 || fd == -EAGAIN;
}

/* Return: NULL: no memory */
static struct sock *adopt(int fd, int family)
{
	struct sockaddr_in6 name = { 0 };
	socklen_t len = sizeof(name);
	int flags = sys_fcntl(fd, F_GETFL, 0);
	struct sock *s;

	s = layer_init() ? sock_alloc() : NULL;
	if (!s)
		return NULL;
	s->family = (uint8_t)family;
	s->nonblock = flags >= 0 && (flags & O_NONBLOCK);
	s->dgram = dgram_new();
	if (!s->dgram || fd_set_file(fd, &s->file)) {
		free(s->dgram);
		sock_free(s);
		return NULL;
	}
	s->state = SOCK_UDP;
	/* the port is at the same place in both families */
	if (!sys_getsockname(fd, (struct sockaddr *)&name, &len))
		port_set(s->dgram, name.sin6_port);
	s->bound = s->dgram->port_be;
	s->dgram->stays = true;
	s->why = REPORT_WHY_FORKED;
	return s;
}

void dgram_adopt(int fd, int family)
{
	uint64_t cookie = cookie_of(fd);
	struct sock *s = is_named(free_name, cookie) || is_named(held_name, cookie) ? adopt(fd, family) : NULL;

	if (!s)
		return;
	s->dgram->heir = true;
	sock.lazy++;
}

void far_note(int fd, struct sock *s)
{
	struct dgram *d = s->dgram;
	struct far_msg msg = { .magic = FAR_MAGIC, .kind = FAR_NOTE, .nr = fd, .cookie = cookie_of(fd) };
	struct own_fd_room room;
	struct sockaddr_un name;
	int pair[2], err; /* of which nobody else can write to the one that has a name */

	if (d->note_fd >= 0)
		return;
	own_fd_begin(&room);
	err = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
	own_fd_end(&room);
	if (err)
		return;
	d->note_fd = own_fd(pair[0]);
	pair[1] = own_fd(pair[1]);
	if (sys_bind(d->note_fd, (struct sockaddr *)&name, name_make(note_name, msg.cookie, &name)) || far_send(pair[1], &msg, d->parcel_fd) ||
	    sys_fcntl(d->note_fd, F_SETFD, 0)) {
		own_fd_close(d->note_fd);
		d->note_fd = -1;
	}
	own_fd_close(pair[1]);
}

bool dgram_adopt_note(int fd)
{
	struct sockaddr_un name;
	socklen_t len = sizeof(name);
	int parcel_fd, family = 0;
	struct far_msg msg;
	struct sock *s;

	if (sys_getsockname(fd, (struct sockaddr *)&name, &len) || len <= offsetof(struct sockaddr_un, sun_path) + sizeof(note_name) ||
	    name.sun_path[0] || memcmp(name.sun_path + 1, note_name, sizeof(note_name) - 1) != 0)
		return false;
	if (!layer_init() || far_recv(fd, FAR_NOTE, &msg, &parcel_fd))
		return false;
	sys_close(fd);
	len = sizeof(family);
	if (msg.nr < 0 || !msg.cookie || cookie_of(msg.nr) != msg.cookie || sys_getsockopt(msg.nr, SOL_SOCKET, SO_DOMAIN, &family, &len)) {
		own_fd_close(parcel_fd);
		return true;
	}
	s = fd_peek(msg.nr) ? NULL : adopt(msg.nr, family);
	if (s)
		(void)parcel_take(s->dgram, parcel_fd);
	else
		own_fd_close(parcel_fd);
	return true;
}
