// SPDX-License-Identifier: BSD-2-Clause
/*
 * dgram_copy.c - UDP sockets that have copies in other processes
 *
 * On the kernel all copies read from one queue. On channels only one process has leased the port, the holder. A fork() doesn't tell which process will
 * read: most children never do. So a child's copy is an heir until it is used, and its first use claims the port:
 *
 *	heir                                    holder                               its peers
 *	 │ state of the parcel: CLAIMED           │                                    │
 *	 │ a byte into the line ─────────────────►│ gives the lease back (vjd)         │
 *	 │                                        │ YIELD ────────────────────────────►│ asks vjd from now on: the kernel
 *	 │                                        │◄─────────────────────────── YIELDED│
 *	 │                                        │ what has come goes into the parcel │
 *	 │◄──────────────── state: OPEN (futex)   │
 *	 │ reads the parcel, then the kernel      │ likewise
 *
 * Nothing is lost, duplicated or reordered by that: a peer that has answered sends by the kernel, and no process reads the kernel's queue before
 * the parcel is complete. The parcel is memory that holder and children share, so each datagram goes to the first process that reads. The port
 * then is the kernel's for good. All sockets of the holder at that port go together.
 *
 * The parcel is made before the first fork(). If the socket isn't on channels by then it is FREE: the process that made the socket may put it on channels, and
 * is the holder from then on, unless another process has used it before.
 *
 * All of a process's children, and theirs, share one end of its line, a pair of sockets; a broken line tells an heir that the holder is gone, and that the port
 * is the kernel's. A holder that ends, becomes another program, closes the socket or sends it to another process (SCM_RIGHTS) gives the port back unasked.
 * A process that got its copy by exec() or by message has neither parcel nor line, and asks for them (dgram_far.c).
 */
#include "sock/ctx.h"
#include "sock/dgram_priv.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/undo.h"

#include "base/time.h"
#include "lib/deed.h"
#include "lib/dgram.h"
#include "lib/own_fd.h"
#include "lib/report.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CLAIM_MS = 10000,
	CLAIM_LOOK_MS = 20,
	YIELD_MS = 200, /* limit, for a peer that doesn't run; what that sends afterwards is answered by an ICMP error */
	LATE_MS = 5,    /* from dispatch to our ring */
	LINES_MAX = 8,  /* generations of processes that each had UDP sockets */
	SENT_MAX = 16,
};

/* Heirs that this process has closed: to bind another socket to the port of one claims it, too. */
struct left {
	struct left *next;
	uint16_t port_be;
	int line_fd;
	struct parcel *parcel;
};
static struct left *lefts;

/* Sockets that were sent by message with datagrams unread: they answer the receiver even after they are closed here. Oldest first; a reference each */
static struct sock *sent[SENT_MAX] VJ_LATER;
static unsigned sent_cnt;

static int line_fd = -1, bell_fd = -1; /* this process's line: the children's end, and the holder's */
static int lines[LINES_MAX];	 /* inherited: lines of ancestors */
static unsigned line_cnt;

/* ---- the holder ------------------------------------------------------------------------------------------------ */

VJ_EARLY static struct sock *udp_at(int fd)
{
	struct sock *s = file_sock(fd_peek(fd));

	return s && s->state == SOCK_UDP ? s : NULL;
}

static int line_make(void)
{
	struct own_fd_room room;
	int pair[2], err;

	if (line_fd >= 0)
		return 0;
	own_fd_begin(&room);
	err = sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair);
	own_fd_end(&room);
	if (err)
		return err;
	line_fd = own_fd(pair[0]);
	bell_fd = own_fd(pair[1]);
	return sock.vj ? deed_bell(sock.vj, bell_fd) : 0;
}

void dgrams_attach(void)
{
	if (bell_fd >= 0)
		(void)deed_bell(sock.vj, bell_fd);
}

static bool is_unread(const struct sock *s)
{
	return s->dgram->name_fd >= 0 && s->dgram->parcel && !parcel_is_empty(s->dgram->parcel);
}

/* Drop those that have nothing unread, then the oldest until there is @room for so many. */
static void sent_sort(unsigned room)
{
	unsigned kept = 0, cnt = sent_cnt;

	for (unsigned i = 0; i < cnt; i++) {
		struct sock *s = sent[i];

		if (cnt - i <= SENT_MAX - room && is_unread(s)) {
			sent[kept++] = s;
			continue;
		}
		file_put(&s->file);
	}
	sent_cnt = kept;
}

static void sent_keep(struct sock *s)
{
	unsigned i = 0;

	while (i < sent_cnt && sent[i] != s)
		i++;
	if (i < sent_cnt || !is_unread(s))
		return;
	sent_sort(1);
	file_get(&s->file);
	sent[sent_cnt++] = s;
}

void dgrams_detach(void)
{
	sent_sort(SENT_MAX);
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = udp_at(fd);

		if (s && (s->dgram->open || s->dgram->stays))
			far_unname(s->dgram);
	}
}

/* Lock held. Another process is about to get a copy of @s: make what that needs to claim it. @line: by fork() */
static void share_one(struct sock *s, bool line)
{
	struct dgram *d = s->dgram;

	if (d->stays || d->heir)
		return;
	if ((!line || !line_make()) && (d->parcel || parcel_make(d)) && !far_name(s))
		return;
	port_leave(d->port_be, REPORT_WHY_FORKED);
	dgram_stay(s, REPORT_WHY_FORKED); /* without that any copy may read, so the port is the kernel's now */
}

VJ_EARLY static void share_each(bool line)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = udp_at(fd);

		if (s)
			share_one(s, line);
	}
}

VJ_EARLY void dgrams_share(void)
{
	share_each(true);
}

void dgrams_share_spawned(void)
{
	share_each(false);
}

bool dgram_hold(struct sock *s)
{
	struct dgram *d = s->dgram;

	far_hold(s);
	if (!d->stays && d->parcel && !parcel_hold(d->parcel)) {
		d->stays = true;
		s->why = REPORT_WHY_FORKED;
	}
	return !d->stays;
}

void dgram_held(int fd, struct sock *s)
{
	if (!s->dgram->open && s->dgram->parcel)
		parcel_unhold(s->dgram->parcel);
	far_held(fd, s);
}

static void yield_one(struct dgram *d, uint32_t *ret_nr, bool *ret_late)
{
	d->yields = true;
	*ret_nr = d->yield_nr = dgram_yield(sock.vj, d->udp, ret_late);
}

/* Give up the leases of @s, which may have no descriptor any more, and of all others at its port. @ret_nr: for dgram_yielded() */
static void yield_begin(const struct sock *s, uint32_t *ret_nr, bool *ret_late)
{
	uint16_t port_be = s->dgram->port_be;

	yield_one(s->dgram, ret_nr, ret_late);
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		const struct sock *o = udp_at(fd);

		if (o && o->dgram->open && !o->dgram->yields && o->dgram->port_be == port_be)
			yield_one(o->dgram, ret_nr, ret_late);
	}
}

/*
 * Wait until all that was on its way has come. The lock is given up meanwhile; but this thread's signal handlers are deferred, since one that jumps out of
 * the call would leave the port half given.
 */
static void yield_wait(uint32_t nr, bool late)
{
	uint64_t begin_ns = sys_clock_ns(), now_ns = begin_ns;

	for (;;) {
		ctx_process();
		if (!sock.vj || now_ns - begin_ns >= YIELD_MS * NS_PER_MS ||
		    (dgram_yielded(sock.vj, nr) && (!late || now_ns - begin_ns >= LATE_MS * NS_PER_MS)))
			return;
		lock_lend();
		sys_poll_ms(NULL, 0, 1);
		lock_regain();
		now_ns = sys_clock_ns();
	}
}

/* A yield that another thread began later (a higher number) is ended by that thread. */
static void yield_end_one(struct sock *s, uint32_t nr)
{
	if (!s->dgram->yields || (int32_t)(s->dgram->yield_nr - nr) > 0)
		return;
	s->dgram->yields = false;
	if (!s->dgram->open)
		return;
	dgram_stay(s, REPORT_WHY_FORKED);
	far_answer(s);
	file_fire(&s->file, EPOLLIN | EPOLLRDNORM | EPOLLERR); /* waiters must look into the parcel */
}

static void yield_end(uint32_t nr)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = udp_at(fd);

		if (s)
			yield_end_one(s, nr);
	}
}

/* Has an heir claimed it? */
static bool is_claimed(int fd, const struct dgram *d)
{
	(void)fd;
	return (d->parcel && parcel_is_claimed(d->parcel)) || far_is_asked(d);
}

static bool may_have_heirs(int fd, const struct dgram *d)
{
	(void)fd;
	return d->parcel;
}

/* The same before exec(): the next program, if it gets the descriptor, is an heir, too. */
static bool may_have_heirs_after(int fd, const struct dgram *d)
{
	return d->parcel || !(sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC);
}

static void yield_those(bool (*which)(int fd, const struct dgram *d))
{
	bool late = false, any = false;
	uint32_t nr = 0;

	for (int fd = fd_next(0); fd >= 0 && sock.vj; fd = fd_next(fd + 1)) {
		const struct sock *s = udp_at(fd);

		if (!s || !s->dgram->open || s->dgram->yields || !which(fd, s->dgram))
			continue;
		yield_begin(s, &nr, &late);
		any = true;
	}
	if (!any)
		return;
	yield_wait(nr, late);
	yield_end(nr);
}

void dgrams_look(void)
{
	char byte;

	if (likely(!deed_called(sock.vj)))
		return;
	while (bell_fd >= 0 && sys_recvfrom(bell_fd, &byte, 1, MSG_DONTWAIT, NULL, NULL) > 0)
		;
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = udp_at(fd);

		if (s && s->dgram->name_fd >= 0)
			far_look(s);
	}
	for (unsigned i = 0; i < sent_cnt; i++)
		if (is_unread(sent[i]))
			far_look(sent[i]);
	yield_those(is_claimed);
}

void dgrams_yield(void)
{
	yield_those(may_have_heirs);
}

void dgrams_yield_exec(void)
{
	yield_those(may_have_heirs_after);
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = udp_at(fd);

		if (s && s->dgram->parcel && !parcel_is_empty(s->dgram->parcel) && !(sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC))
			far_note(fd, s);
	}
}

void dgram_give(struct sock *s)
{
	bool late = false;
	struct hold hold;
	uint32_t nr = 0;

	if (!s->dgram->open || !sock.vj)
		return;
	hold_begin(&hold, &s->file);
	if (s->dgram->yields)
		nr = s->dgram->yield_nr;
	else
		yield_begin(s, &nr, &late);
	yield_wait(nr, late);
	yield_end_one(s, nr);
	yield_end(nr);
	hold_end(&hold);
}

void dgram_sent(struct sock *s)
{
	share_one(s, false);
	dgram_give(s);
	sent_keep(s);
}

bool dgram_has_heirs(const struct sock *s)
{
	return s->dgram->open && s->dgram->parcel;
}

/* ---- the heir -------------------------------------------------------------------------------------------------- */

void dgram_inherited(struct sock *s)
{
	struct dgram *d = s->dgram;

	if (d->parcel && !d->stays && !d->heir) {
		d->heir = true;
		d->line_fd = line_fd;
		sock.lazy++;
	}
	far_forked(d);
	if (d->parcel_fd >= 0)
		fd_protect(d->parcel_fd, false);
	d->open = d->yields = false;
	d->stays = true;
	d->in_kernel = d->claims = 0;
	s->why = REPORT_WHY_FORKED;
}

/* Close @line, whose number may soon be another descriptor's. Heirs that use it take their holder for gone. */
static void line_forget(int line)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		const struct sock *s = udp_at(fd);

		if (s && s->dgram->heir && s->dgram->line_fd == line)
			s->dgram->line_fd = -1;
	}
	for (struct left *l = lefts; l; l = l->next)
		if (l->line_fd == line)
			l->line_fd = -1;
	own_fd_close(line);
}

VJ_EARLY void dgrams_inherited(void)
{
	while (sent_cnt) /* the parent goes on to answer; those without a descriptor have no owner here */
		sent[--sent_cnt]->file.refs--;
	if (line_fd >= 0 && line_cnt == LINES_MAX) {
		line_forget(lines[0]);
		memmove(lines, lines + 1, sizeof(lines[0]) * --line_cnt);
	}
	if (line_fd >= 0)
		lines[line_cnt++] = line_fd;
	if (line_fd >= 0 || bell_fd >= 0) /* else the child would copy a page for this write */
		line_fd = bell_fd = -1;
	for (unsigned i = 0; i < line_cnt; i++)
		fd_protect(lines[i], false);
}

VJ_EARLY void dgrams_kept(void)
{
	for (unsigned i = 0; i < line_cnt; i++)
		fd_protect(lines[i], true);
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		const struct sock *s = udp_at(fd);

		if (s && s->dgram->parcel_fd >= 0)
			fd_protect(s->dgram->parcel_fd, true);
	}
}

static bool is_broken(int line)
{
	struct pollfd pfd = { .fd = line };

	return line < 0 || (sys_poll_ms(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLERR | POLLNVAL)));
}

/* Wait until the parcel is OPEN, or the holder is gone; for CLAIM_MS at most, since the holder may be stopped. Gives the lock up. */
static void claim(struct parcel *p, int line)
{
	if (parcel_claim(p))
		return;
	(void)sys_sendto(line, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	for (int ms = 0; ms < CLAIM_MS && !parcel_is_open(p) && !is_broken(line); ms += CLAIM_LOOK_MS) {
		lock_leave();
		parcel_wait(p, CLAIM_LOOK_MS);
		lock_take();
	}
}

/* A handler jumps out of the claim: the next use claims again. */
static void claim_undo(void *arg)
{
	lock_take();
	((struct dgram *)arg)->claims--;
	lock_leave();
}

bool dgram_claim(struct sock *s)
{
	struct dgram *d = s->dgram;
	struct undo undo;
	struct hold hold;
	bool there;

	if (is_foreign() || sock.exiting)
		return true;
	hold_begin(&hold, &s->file);
	d->claims++;
	undo_push(&undo, claim_undo, d);
	if (d->parcel)
		claim(d->parcel, d->line_fd);
	else
		far_claim(s);
	if (undo_pop(&undo))
		d->claims--;
	if (d->heir) {
		ctx_say("a UDP socket is the kernel's now: this process uses it, too");
		d->heir = false;
		sock.lazy--;
		file_fire(&s->file, EPOLLIN | EPOLLRDNORM | EPOLLERR);
	}
	there = s->file.refs > 1;
	hold_end(&hold);
	return there;
}

void dgram_left(struct sock *s)
{
	struct dgram *d = s->dgram;
	struct left *l = d->heir && d->port_be && d->parcel ? malloc(sizeof(*l)) : NULL;

	if (!d->heir)
		return;
	d->heir = false;
	sock.lazy--;
	if (!l)
		return;
	*l = (struct left){ .next = lefts, .port_be = d->port_be, .line_fd = d->line_fd, .parcel = d->parcel };
	lefts = l;
	d->parcel = NULL;
	own_fd_close(d->parcel_fd);
	d->parcel_fd = -1;
}

bool dgrams_claim_at(struct sock *bound)
{
	uint16_t port_be = bound->dgram->port_be;
	struct hold hold;
	bool there;

	hold_begin(&hold, &bound->file);
	for (int fd = sock.lazy ? fd_next(0) : -1; fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = udp_at(fd);

		if (s && s->dgram->heir && s->dgram->port_be == port_be)
			(void)dgram_claim(s);
	}
	for (struct left **at = &lefts, *l; (l = *at);) {
		if (l->port_be != port_be) {
			at = &l->next;
			continue;
		}
		*at = l->next; /* no other thread finds it while the lock is given up */
		claim(l->parcel, l->line_fd);
		parcel_unmap(l->parcel);
		free(l);
		at = &lefts;
	}
	there = bound->file.refs > 1;
	hold_end(&hold);
	return there;
}

void dgrams_claim_stdio(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		struct sock *s = udp_at(fd);

		if (s && s->dgram->heir && !(sys_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC))
			(void)dgram_claim(s);
	}
}
