// SPDX-License-Identifier: BSD-2-Clause
/*
 * dgram_copy.c - UDP sockets that have copies in other processes
 *
 * On the kernel whoever has a copy reads from one queue. On channels there is one process that has leased the port, the holder, and that a
 * server forks says nothing: most children never read. So a child's copy is an heir until it is used, and a use is a claim:
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
 * Nothing is lost by that, comes twice or in another order: a peer that has answered sends by the kernel, and nobody reads the kernel's queue for the
 * first time before the parcel is complete. The parcel is memory that fork() has in common with the children, so that each datagram
 * is had by whoever comes first. There is no way back: the port is the kernel's for good. All sockets of the holder at that port go together.
 *
 * The same holds for a socket that nobody has on channels yet: the parcel, made before the first fork(), is FREE then. Who made the socket may put it
 * there, and is the holder from then on, unless another process has used it before.
 *
 * The line, one end of a pair of sockets, is there for all of a process's children, and theirs; that it is broken tells an heir that the holder is gone, and
 * the port the kernel's. A holder that ends, becomes another program, closes the socket or sends it to somebody (SCM_RIGHTS) does the same unasked.
 * Who has a copy by exec() or by message has neither parcel nor line, and asks for them (dgram_far.c).
 */
#include "sock/ctx.h"
#include "sock/dgram_priv.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/life.h"
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
	YIELD_MS = 200, /* for a peer that doesn't run; what it sends afterwards is answered by an ICMP error */
	LATE_MS = 5,    /* from dispatch to our ring */
	LINES_MAX = 8,  /* generations of processes that each had UDP sockets */
	SENT_MAX = 16,
};

/* Copies that this process has closed: who binds another socket to the port of one claims it, too. */
struct left {
	struct left *next;
	uint16_t port_be;
	int line_fd;
	struct parcel *parcel;
};
static struct left *lefts;

/* Were sent to somebody with something unread, and go on to answer him when they are closed here; the oldest first. A reference each */
static struct sock *sent[SENT_MAX] VJ_LATER;
static unsigned sent_cnt;

static int line_fd = -1, bell_fd = -1; /* the children's end of ours, and the other one */
static int lines[LINES_MAX];	 /* of those before us */
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

/* Those of which all has been read are let go, and the oldest until there is @room. */
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

/* Lock held. What others need who are about to have a copy of it; @line: by fork() */
static void share_one(struct sock *s, bool line)
{
	struct dgram *d = s->dgram;

	if (d->stays || d->heir)
		return;
	if ((!line || !line_make()) && (d->parcel || parcel_make(d)) && !far_name(s))
		return;
	port_leave(d->port_be, REPORT_WHY_FORKED);
	dgram_stay(s, REPORT_WHY_FORKED); /* whoever reads */
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

/* @s, which may have no number any more, and what else is at its port, is leased no more. @ret_nr: for dgram_yielded() */
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
 * What was on its way has come. The lock is given up meanwhile, but the call isn't: a handler that jumps out of it would leave the port half given,
 * so this thread's handlers wait.
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

/* What a thread began later than this one has, it ends itself. */
static void yield_end_one(struct sock *s, uint32_t nr)
{
	if (!s->dgram->yields || (int32_t)(s->dgram->yield_nr - nr) > 0)
		return;
	s->dgram->yields = false;
	if (!s->dgram->open)
		return;
	dgram_stay(s, REPORT_WHY_FORKED);
	far_answer(s);
	file_fire(&s->file, EPOLLIN | EPOLLRDNORM | EPOLLERR); /* who waits is to look into the parcel */
}

static void yield_end(uint32_t nr)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = udp_at(fd);

		if (s)
			yield_end_one(s, nr);
	}
}

/* Is it to be given to the kernel? */
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

/* The same of who becomes another program: that is one, too. */
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

/* It is closed, and its number may be another descriptor's soon: who has it has a holder that is gone. */
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
	while (sent_cnt) /* the parent answers; what has no number here is nobody's */
		sent[--sent_cnt]->file.refs--;
	if (line_fd >= 0 && line_cnt == LINES_MAX) {
		line_forget(lines[0]);
		memmove(lines, lines + 1, sizeof(lines[0]) * --line_cnt);
	}
	if (line_fd >= 0)
		lines[line_cnt++] = line_fd;
	if (line_fd >= 0 || bell_fd >= 0) /* else it would be a page that the child has to copy */
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

/* Until the parcel is OPEN; a holder that is gone has none, and one that doesn't run is not waited for for ever. Gives the lock up. */
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

/* A handler jumps out of it: the next use claims again. */
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
		*at = l->next; /* nobody else has it while the lock is given up */
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
