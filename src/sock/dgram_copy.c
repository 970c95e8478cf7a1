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
 * The line (deed_line()) is there for all of a process's children, and theirs; that it is broken tells an heir that the holder is gone, and the port the
 * kernel's. A holder that ends, becomes another program, closes the socket or sends it to somebody (SCM_RIGHTS) does the same unasked.
 *
 * Not seen is use by a program that the child becomes by exec(), unless it is as standard input, output or error; and what was in the parcel is not there for
 * one that has the socket by exec() or by message.
 *
 * The children may have changed their user since: what stands in a parcel is checked, as any that comes from outside.
 */
#include "sock/dgram_priv.h"

#include "lib/deed.h"
#include "lib/dgram.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	PARCEL_BYTES = 2 << 20, /* as records, 256 KiB of datagrams without a byte, 450 to a packet, are less; pages that are never written cost nothing */
	CLAIM_MS = 10000,
	CLAIM_LOOK_MS = 20,
	YIELD_MS = 200, /* for a peer that doesn't run; what it sends afterwards is answered by an ICMP error */
	LATE_MS = 5,    /* from dispatch to our ring */
	LINES_MAX = 8,  /* generations of processes that each had sockets on channels */
};

enum parcel_state { PARCEL_HELD, PARCEL_CLAIMED, PARCEL_OPEN };

/* In memory of the holder and of those that fork() has made of it. */
struct parcel {
	_Atomic uint32_t state; /* enum parcel_state; OPEN: for good */
	_Atomic int32_t err;	/* errno, for whoever reads first; 0: none. As the next two, if OPEN */
	_Atomic uint32_t at;	/* the next record, bytes from `records` */
	_Atomic uint32_t end;
	_Alignas(8) uint8_t records[PARCEL_BYTES];
};

struct record {
	uint32_t len;
	struct sockaddr_in6 from, to; /* or sockaddr_in */
	uint8_t data[];
};

/* Copies that this process has closed: who binds another socket to the port of one claims it, too. */
struct left {
	struct left *next;
	uint16_t port_be;
	int line_fd;
	struct parcel *parcel;
};
static struct left *lefts;

static int line_fd = -1;	 /* the children's end of ours */
static int lines[LINES_MAX];	 /* of those before us */
static unsigned line_cnt;

/*
 * ---- parcels ------------------------------------------------------------------------------------
 * ----------------
 */

/* NULL: no memory */
static struct parcel *parcel_new(void)
{
	void *p = mmap(NULL, sizeof(struct parcel), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* One that a thread waits for is dropped by whoever reads next. */
static void parcel_drop(struct dgram *d)
{
	if (d->claims)
		return;
	if (d->parcel)
		munmap(d->parcel, sizeof(*d->parcel));
	d->parcel = NULL;
}

static uint32_t record_bytes(uint32_t len)
{
	return ((uint32_t)sizeof(struct record) + len + 7) / 8 * 8;
}

static bool is_open(const struct parcel *p)
{
	return atomic_load_explicit(&p->state, memory_order_acquire) == PARCEL_OPEN;
}

/* Return: the first record, which is whole, and its place; NULL: there is none. */
static const struct record *parcel_first(const struct parcel *p, uint32_t *ret_at, uint32_t *ret_len)
{
	uint32_t at = atomic_load(&p->at), end = atomic_load(&p->end), len;

	if (!is_open(p) || end > sizeof(p->records) || at >= end || end - at < sizeof(struct record) || at % 8)
		return NULL;
	len = ((const struct record *)(const void *)(p->records + at))->len;
	if (len > DGRAM_BYTES_MAX || record_bytes(len) > end - at)
		return NULL;
	*ret_at = at;
	*ret_len = len;
	return (const struct record *)(const void *)(p->records + at);
}

static bool parcel_is_empty(const struct parcel *p)
{
	uint32_t at, len;

	return !parcel_first(p, &at, &len) && !(is_open(p) && atomic_load(&p->err));
}

/* What has come over channels; once, before it is OPEN */
static void parcel_fill(struct parcel *p, struct vj_udp udp)
{
	uint32_t end = 0;
	struct sockaddr_storage from, to;
	ssize_t len;
	int err = vj_udp_error(sock.vj, udp);

	if (err)
		atomic_store(&p->err, err);
	while ((len = vj_udp_next_bytes(sock.vj, udp)) >= 0 && len <= DGRAM_BYTES_MAX && record_bytes((uint32_t)len) <= sizeof(p->records) - end) {
		struct record *r = (struct record *)(void *)(p->records + end);

		if (vj_udp_recv(sock.vj, udp, r->data, (size_t)len, false, &from, &to) != len)
			break;
		r->len = (uint32_t)len;
		memcpy(&r->from, &from, sizeof(r->from));
		memcpy(&r->to, &to, sizeof(r->to));
		end += record_bytes((uint32_t)len);
	}
	atomic_store(&p->end, end);
}

static void parcel_publish(struct parcel *p)
{
	atomic_store(&p->state, PARCEL_OPEN);
	sys_futex(&p->state, FUTEX_WAKE, INT32_MAX, NULL);
}

void dgram_pack(struct sock *s, bool keep)
{
	struct dgram *d = s->dgram;

	if (d->open && sock.vj && keep && !d->parcel && vj_udp_next_bytes(sock.vj, d->udp) >= 0)
		d->parcel = parcel_new();
	if (d->open && sock.vj && d->parcel) {
		parcel_fill(d->parcel, d->udp);
		parcel_publish(d->parcel);
	}
	if (!keep)
		parcel_drop(d);
}

long dgram_unpack(struct sock *s, struct msghdr *msg, int flags, struct sockaddr_storage *ret_from, struct sockaddr_storage *ret_to)
{
	struct parcel *p = s->dgram->parcel;
	const struct record *r;
	uint32_t at, len;
	int err = is_open(p) ? atomic_exchange(&p->err, 0) : 0;

	if (err)
		return err < 0 || err > 4095 ? -ECONNREFUSED : -err;
	while ((r = parcel_first(p, &at, &len))) {
		if (!(flags & MSG_PEEK) && !atomic_compare_exchange_strong(&p->at, &at, at + record_bytes(len)))
			continue; /* another process was faster */
		memset(ret_from, 0, sizeof(*ret_from));
		memset(ret_to, 0, sizeof(*ret_to));
		memcpy(ret_from, &r->from, sizeof(r->from));
		memcpy(ret_to, &r->to, sizeof(r->to));
		msg->msg_flags = dgram_scatter(msg, r->data, len) < len ? MSG_TRUNC : 0;
		return len;
	}
	if (is_open(p)) /* nothing comes into it any more */
		parcel_drop(s->dgram);
	return -EAGAIN;
}

bool dgram_waits(const struct sock *s)
{
	return s->dgram->open || (s->dgram->parcel && !parcel_is_empty(s->dgram->parcel));
}

uint32_t dgram_parcel_level(const struct dgram *d)
{
	uint32_t at, len, level = parcel_first(d->parcel, &at, &len) ? EPOLLIN | EPOLLRDNORM : 0u;

	return level | (is_open(d->parcel) && atomic_load(&d->parcel->err) ? (uint32_t)(EPOLLIN | EPOLLRDNORM | EPOLLERR) : 0u);
}

int dgram_parcel_bytes(const struct dgram *d)
{
	uint32_t at, len;

	return parcel_first(d->parcel, &at, &len) ? (int)len : -EAGAIN;
}

/*
 * ---- the holder ---------------------------------------------------------------------------------
 * ----------------
 */

static struct sock *udp_at(int fd)
{
	struct file *f = fd_peek(fd);

	return f && f->kind == FILE_SOCK && sock_of(f)->state == SOCK_UDP ? sock_of(f) : NULL;
}

void dgrams_share(void)
{
	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		struct sock *s = udp_at(fd);
		struct dgram *d = s ? s->dgram : NULL;

		if (!d || !d->open || !sock.vj)
			continue;
		if (line_fd < 0 && deed_line(sock.vj, &line_fd))
			line_fd = -1;
		if (!d->parcel && line_fd >= 0)
			d->parcel = parcel_new();
		if (d->parcel)
			continue;
		dgram_stay(s, REPORT_WHY_FORKED); /* whoever reads */
		port_leave(d->port_be, REPORT_WHY_FORKED);
	}
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

/* What was on its way has come. The lock is given up meanwhile. */
static void yield_wait(uint32_t nr, bool late)
{
	uint64_t begin_ns = sys_clock_ns(), now_ns = begin_ns;

	for (;;) {
		ctx_process();
		if (!sock.vj || now_ns - begin_ns >= YIELD_MS * NS_PER_MS ||
		    (dgram_yielded(sock.vj, nr) && (!late || now_ns - begin_ns >= LATE_MS * NS_PER_MS)))
			return;
		lock_leave();
		sys_poll_ms(NULL, 0, 1);
		lock_take();
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

/* All that may have heirs, or those that were claimed */
static void yield_those(bool all)
{
	bool late = false, any = false;
	uint32_t nr = 0;

	for (int fd = fd_next(0); fd >= 0 && sock.vj; fd = fd_next(fd + 1)) {
		const struct sock *s = udp_at(fd);
		const struct dgram *d = s ? s->dgram : NULL;

		if (!d || !d->open || d->yields || !d->parcel || (!all && atomic_load(&d->parcel->state) != PARCEL_CLAIMED))
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
	if (unlikely(deed_called(sock.vj)))
		yield_those(false);
}

void dgrams_yield(void)
{
	if (unlikely(line_fd >= 0))
		yield_those(true);
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

bool dgram_has_heirs(const struct sock *s)
{
	return s->dgram->open && s->dgram->parcel;
}

/*
 * ---- the heir -----------------------------------------------------------------------------------
 * ----------------
 */

void dgram_inherited(struct sock *s)
{
	struct dgram *d = s->dgram;

	if (d->open && d->parcel) {
		d->heir = true;
		d->line_fd = line_fd;
		sock.lazy++;
	}
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

void dgrams_inherited(void)
{
	if (line_fd < 0)
		return;
	if (line_cnt == LINES_MAX) {
		line_forget(lines[0]);
		memmove(lines, lines + 1, sizeof(lines[0]) * --line_cnt);
	}
	lines[line_cnt++] = line_fd;
	line_fd = -1;
}

bool dgram_keeps(int fd)
{
	for (unsigned i = 0; i < line_cnt; i++)
		if (lines[i] == fd)
			return true;
	return false;
}

static bool is_broken(int line)
{
	struct pollfd pfd = { .fd = line };

	return line < 0 || (sys_poll_ms(&pfd, 1, 0) > 0 && (pfd.revents & (POLLHUP | POLLERR | POLLNVAL)));
}

/* Until the parcel is OPEN; a holder that is gone has none, and one that doesn't run is not waited for for ever. Gives the lock up. */
static void claim(struct parcel *p, int line)
{
	static const struct timespec look = { .tv_nsec = CLAIM_LOOK_MS * (long)NS_PER_MS };
	uint32_t held = PARCEL_HELD;

	atomic_compare_exchange_strong(&p->state, &held, PARCEL_CLAIMED);
	if (!is_open(p))
		(void)sys_sendto(line, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	for (int ms = 0; ms < CLAIM_MS && !is_open(p) && !is_broken(line); ms += CLAIM_LOOK_MS) {
		lock_leave();
		sys_futex(&p->state, FUTEX_WAIT, PARCEL_CLAIMED, &look);
		lock_take();
	}
}

bool dgram_claim(struct sock *s)
{
	struct hold hold;
	bool there;

	if (is_foreign() || sock.exiting)
		return true;
	hold_begin(&hold, &s->file);
	ctx_say("a UDP socket is the kernel's now: a child uses it, too");
	s->dgram->claims++;
	claim(s->dgram->parcel, s->dgram->line_fd);
	s->dgram->claims--;
	if (s->dgram->heir) {
		s->dgram->heir = false;
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
	struct left *l = d->heir && d->port_be ? malloc(sizeof(*l)) : NULL;

	if (!d->heir)
		return;
	d->heir = false;
	sock.lazy--;
	if (!l)
		return;
	*l = (struct left){ .next = lefts, .port_be = d->port_be, .line_fd = d->line_fd, .parcel = d->parcel };
	lefts = l;
	d->parcel = NULL;
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
		munmap(l->parcel, sizeof(*l->parcel));
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
