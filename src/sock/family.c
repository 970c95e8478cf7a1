// SPDX-License-Identifier: BSD-2-Clause
/*
 * family.c - processes that wait for connections by turns
 *
 * The kernel has one accept queue for all copies of a listening socket; here each process that has waited has its own. If the processes wait one at a
 * time, behind a mutex (apache2's prefork, nginx with accept_mutex), most clients come to a process that doesn't wait, and won't until the one that does
 * wait gets a client. So processes related by fork(), the family, share a page, in which each records that it waits; the last one to wait is the waiter:
 *
 *	pass	a process that has clients in its queue, and whose program sleeps in something else, passes them to the waiter (listeners_offer())
 *	rest	the ports go back to the kernel: each process gives up its lease at its next look, which is the waiter's next wait, or the next
 *		client of one that doesn't wait. Clients that they have by then are still passed on, or put into the kernel's queue; that needs no
 *		lease. After a second who waits, or begins to, leases again. Each further rest is twice as long as the last; if none was needed for ten
 *		seconds, or for as long as the last one took if that is more, the next takes a second again.
 *
 * A rest begins with a turn: a process begins to wait when another one has accepted a client on a channel and not begun to wait again. So each socket's slot
 * records who was seen there last, and doing what:
 *
 *	0	  nobody, or a process that woke, and took no client of a channel
 *	WAITS	  this process waits. If another one begins to: TOGETHER
 *	TOOK	  it has taken a client of a channel since it waited. If another one begins to wait: a turn; if that one has no lease yet it takes none
 *	TOGETHER  two processes have waited at once, so there is no mutex, for good. If the ports rest that is over
 *
 * A wait in the kernel's own call (calm.h) isn't seen. A server without a mutex whose first client comes before its second process waits is taken for one that
 * has one until two of its processes wait at once. After the first client on a channel the helper looks each millisecond for a while, so that clients that came
 * with it go to the kernel's queue soon.
 *
 * Without a mutex a rest takes twelve passed clients and a quarter of a second. A process that is held up for a moment (a slow disk, a busy host) passes on all
 * its clients, perhaps hundreds; but what the others accept at that time weighs against these, and a wrong verdict lasts for a second.
 *
 * Why rest: a channel to each process that may wait next, and a move for most connections, cost more than channels gain such a server.
 *
 * The page may be wrong: the waiter was killed, or wakes just now for another client; at worst a member of the family that has changed its user
 * lies. vjd passes clients within one user only, and a process that gets one without waiting for it passes it on.
 *
 * The page also records which processes have started programs without the library, with an environment of their own (dovecot). Such a program may be
 * the one that accepts, from the kernel's queue only. So a process that has started one, and waits, but has never called accept(), has no lease; its first
 * accept() brings one.
 *
 * A process that has called exec() since doesn't share the page. Its late clients are offered to the others that have a lease, after 30 ms, and it counts for
 * itself those that another process took; clients that it still has when its ports rest go into the kernel's queue. A page that outlives exec() would be
 * one more descriptor in each program that a server starts. In a family late clients don't count, only those that were passed.
 */
#include "sock/accept.h"
#include "sock/calm.h"
#include "sock/epoll.h"
#include "sock/exec_env.h"
#include "sock/family.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/fork_server.h"
#include "sock/kernel.h"
#include "sock/kick.h"
#include "sock/layer.h"

#include "base/time.h"
#include "lib/deed.h"
#include "lib/lease.h"
#include "lib/lease_scope.h"
#include "lib/pause.h"
#include "lib/proc_state.h"
#include "lib/report.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>

/* Clients: one that was passed has waited for 10 ms, one that was late (MANY_LATE) for 30 ms. */
enum { MANY = 12, MANY_LATE = 4, OF_ACCEPTED = 4, SPAN_MS = 250, WINDOW_MS = 1000 };
enum { REST_S = 1, REST_MAX_S = 3600, FORGIVEN_S = 10, RETRY_S = 1, SLOTS = 64, STARTERS = 16 };
enum { SOON_LOOKS = 50 };

/* Of a slot's `seen`, above the process; the head explains them */
enum seen { WAITS = 1, TOOK, TOGETHER };

struct family_slot {
	_Atomic uint64_t endpoint; /* a hash; 0: free; for good */
	_Atomic uint64_t waiter;   /* application, process; 0: nobody known */
	_Atomic uint64_t seen;	   /* enum seen, process; 0 */
};

struct family {
	struct family_slot slots[SLOTS];
	_Atomic uint64_t window_ns; /* when the window began, with a client that was passed; clients in it: */
	_Atomic uint32_t passed, accepted;
	_Atomic uint64_t rest_until_ns; /* 0: has never rested */
	_Atomic uint32_t rest_s;	/* length of the last rest */
	_Atomic bool shared; /* the program has forked: only clients that were passed count, not late ones */
	_Atomic int32_t starters[STARTERS]; /* processes that have started programs without the library, indexed by their number */
};

static struct family *family;
static bool rests VJ_LATER;	  /* this process's ports */
static uint64_t retry_ns VJ_LATER; /* if so: vjd is not asked again before */
static uint32_t passed_seen VJ_LATER;
static uint32_t looks_soon VJ_LATER; /* short looks of the helper that are left, since the first client of a channel */
static bool has_taken VJ_LATER;	     /* such a client, since the ports were leased */
static struct {
	bool now, before; /* at this look of the helper's, at the one before */
} asleep VJ_LATER;

VJ_EARLY void family_prepare(void)
{
	void *p;

	if (likely(family != NULL))
		return;
	p = mmap(NULL, sizeof(*family), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	family = p == MAP_FAILED ? NULL : p;
}

/* What this thread has recorded in `starters`, to be taken back if its exec() fails */
static __thread int starter_noted __attribute__((tls_model("initial-exec")));

VJ_EARLY void family_starts(bool becomes, char *const envp[])
{
	int pid;

	starter_noted = 0;
	if (likely(!family) || exec_env_has_library(envp))
		return;
	pid = becomes ? (int)SYS_CALL0(SYS_getppid) : sock.pid;
	if (atomic_exchange_explicit(&family->starters[(unsigned)pid % STARTERS], pid, memory_order_relaxed) != pid)
		starter_noted = pid;
}

VJ_EARLY void family_start_failed(void)
{
	int pid = starter_noted;

	starter_noted = 0;
	if (family && pid)
		atomic_compare_exchange_strong(&family->starters[(unsigned)pid % STARTERS], &pid, 0);
}

bool family_is_blind(void)
{
	return family && !sock.accepts &&
	       unlikely(atomic_load_explicit(&family->starters[(unsigned)sock.pid % STARTERS], memory_order_relaxed) == sock.pid);
}

VJ_EARLY void family_unleased(void)
{
	rests = false;
	passed_seen = 0;
}

/* Written before fork(), and once: else each child would touch the page for it. */
VJ_EARLY void family_forks(void)
{
	if (unlikely(family != NULL) && !atomic_load_explicit(&family->shared, memory_order_relaxed))
		atomic_store_explicit(&family->shared, true, memory_order_relaxed);
}

VJ_EARLY void family_child(void)
{
	family_unleased();
	asleep.now = false;
}

static uint64_t hash_of(const struct sockaddr_storage *a)
{
	const uint8_t *bytes = (const uint8_t *)a;
	uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */

	/* the bytes behind an IPv4 address are zero */
	for (size_t i = 0; i < sizeof(struct sockaddr_in6); i++)
		h = (h ^ bytes[i]) * 0x100000001b3u;
	return h ? h : 1;
}

static struct family_slot *slot_of(int fd)
{
	struct sockaddr_storage local = { 0 };
	socklen_t len = sizeof(local);
	uint64_t endpoint;

	if (likely(!family) || sys_getsockname(fd, (struct sockaddr *)&local, &len))
		return NULL;
	endpoint = hash_of(&local);
	for (unsigned i = 0; i < SLOTS; i++) {
		struct family_slot *slot = &family->slots[(endpoint + i) % SLOTS];
		uint64_t has = 0;

		if (atomic_compare_exchange_strong(&slot->endpoint, &has, endpoint) || has == endpoint)
			return slot;
	}
	return NULL;
}

static uint64_t seen_as(enum seen what, int32_t pid)
{
	return (uint64_t)what << 32 | (uint32_t)pid;
}

void family_listens(struct sock *s)
{
	s->slot = slot_of(s->lease_fd);
	s->narrowed = false;
	has_taken = false;
}

VJ_EARLY void family_unlistens(const struct sock *s)
{
	uint64_t took = seen_as(TOOK, sock.pid);

	if (s->slot)
		atomic_compare_exchange_strong(&s->slot->seen, &took, 0);
}

/* Does a thread other than @but (may be NULL) sleep by this watch? @but has woken, but still counts in set->asleep. */
static bool sleeps(const struct watch *w, const struct sleeper *but)
{
	if (!w->set)
		return w->sleeper != but;
	if (!(w->events & EPOLLIN))
		return false;
	return w->set->asleep > (but && but->kick == &w->set->kick) || atomic_load(&w->set->kernel_asleep);
}

/* Does a thread other than @but wait for a client of @s? */
static bool is_waited(const struct sock *s, const struct sleeper *but)
{
	for (const struct watch *w = s->file.watches; w; w = w->next)
		if (sleeps(w, but))
			return true;
	return false;
}

static bool any_waited(void)
{
	for (const struct sock *s = sock.copied; s; s = s->next_copied)
		if (s->slot && is_waited(s, NULL))
			return true;
	return false;
}

/*
 * Is the program's first thread asleep, as at a mutex? Not if it waits for a processor or a disk (its state is another one): it will look for clients soon. So
 * will a thread that sleeps for sock.lock, which this thread holds: so it must be seen asleep twice, without having had the lock in between.
 */
static void sleep_look(bool looks)
{
	asleep.before = looks && asleep.now;
	asleep.now = looks && proc_state(0) == 'S';
}

static bool is_asleep(void)
{
	return asleep.now && asleep.before;
}

static uint64_t myself(void)
{
	uint32_t app = deed_app(sock.vj);

	return app ? (uint64_t)app << 32 | (uint32_t)sock.pid : 0;
}

/* No two processes have ever waited at once. */
static bool may_have_turns(const struct family_slot *slot)
{
	return atomic_load_explicit(&slot->seen, memory_order_relaxed) != seen_as(TOGETHER, 0);
}

/*
 * At interfaces a handshake in progress can't go to the kernel, and clients can't be passed: so those ports are the kernel's for good. But if that was for a turn,
 * and there are none, it is undone: port_widen().
 */
static int port_rest(struct sock *s, bool rest)
{
	int err = lease_rest(sock.vj, s->listener, rest);

	if (err == -EBUSY && !lease_scope_narrow(sock.vj, s->listener)) {
		s->narrowed = may_have_turns(s->slot);
		err = lease_rest(sock.vj, s->listener, rest);
	}
	return err;
}

static VJ_COLD void port_widen(struct sock *s)
{
	if (may_have_turns(s->slot))
		return;
	s->narrowed = !s->on_trial && !s->own_mtu_mode && lease_scope_widen(sock.vj, s->listener) == -ETIMEDOUT; /* vjd is behind */
}

static bool all_rest(bool rest)
{
	bool all = true;

	for (struct sock *s = sock.copied; s; s = s->next_copied)
		all &= !s->slot || !port_rest(s, rest);
	return all;
}

/* Is it a process other than this one, and alive? One that was killed while it waited is still recorded; it may be a zombie. */
static bool is_another(uint64_t seen)
{
	int32_t pid = (int32_t)seen;

	return pid && pid != sock.pid && SYS_CALL2(SYS_kill, pid, 0) != -ESRCH && proc_state(pid) != 'Z';
}

/* The other processes follow at their next look. @until_ns: when the last rest ended */
static void rest_begin(uint64_t until_ns, uint64_t now_ns)
{
	uint32_t rest_s = atomic_load(&family->rest_s);

	rest_s = now_ns - until_ns > max_u32(rest_s, FORGIVEN_S) * NS_PER_SEC ? REST_S : min_u32(max_u32(2 * rest_s, REST_S), REST_MAX_S);
	if (!atomic_compare_exchange_strong(&family->rest_until_ns, &until_ns, now_ns + rest_s * NS_PER_SEC))
		return;
	atomic_store(&family->rest_s, rest_s);
}

/* Two processes have waited at once: if the ports rest, each ends that at its next wait. */
static void have_no_turns(struct family_slot *slot)
{
	atomic_store(&slot->seen, seen_as(TOGETHER, 0));
	atomic_store(&family->rest_s, 0);
	if (atomic_load(&family->rest_until_ns))
		atomic_store(&family->rest_until_ns, sys_clock_ns());
}

static void turn_begins(void)
{
	uint64_t until_ns = atomic_load(&family->rest_until_ns), now_ns = sys_clock_ns();

	if (now_ns >= until_ns && !sock.strict)
		rest_begin(until_ns, now_ns);
}

/* This process is about to wait: beside another one, or after it? */
static void turn_look(struct family_slot *slot)
{
	uint64_t was = atomic_load(&slot->seen);

	do {
		if (was == seen_as(TOGETHER, 0))
			return;
	} while (!atomic_compare_exchange_weak(&slot->seen, &was, seen_as(WAITS, sock.pid)));
	if (!is_another(was))
		return;
	if (was >> 32 == WAITS)
		have_no_turns(slot);
	else
		turn_begins();
}

bool family_looks_again(void)
{
	if (!sock.copied)
		return false;
	if (asleep.now && !asleep.before)
		return true;
	if (!looks_soon)
		return false;
	looks_soon--;
	return true;
}

/* Rest, or end the rest, as the family's page says. @waits: this process waits, and so may end it. If vjd refuses a lease it is asked again after RETRY_S. */
static void follow(bool waits)
{
	uint64_t until_ns = atomic_load_explicit(&family->rest_until_ns, memory_order_relaxed), now_ns;

	if (likely(!until_ns) || sock.strict)
		return;
	now_ns = sys_clock_ns();
	if (now_ns < until_ns) {
		if (!rests)
			ctx_say("new connections are the kernel's for a while: processes wait for them by turns");
		rests = true;
		retry_ns = 0;
		all_rest(true);
	} else if (rests && waits && now_ns >= retry_ns && !fork_server_rest()) { /* fork_server.c may have them rest for longer */
		rests = !all_rest(false);
		retry_ns = now_ns + RETRY_S * NS_PER_SEC;
		has_taken = false;
	}
}

uint64_t family_rests_before(int fd, bool first)
{
	struct family_slot *slot = sock.strict ? NULL : slot_of(fd);
	uint64_t was, until_ns;

	if (!slot)
		return 0;
	was = atomic_load(&slot->seen);
	if (first && was >> 32 == TOOK && is_another(was) && atomic_compare_exchange_strong(&slot->seen, &was, 0))
		turn_begins();
	until_ns = atomic_load(&family->rest_until_ns);
	return sys_clock_ns() < until_ns ? until_ns : 0;
}

bool family_rests(void)
{
	return rests;
}

uint64_t family_again_ns(uint64_t now_ns)
{
	uint64_t until_ns;

	if (likely(!rests))
		return TIME_NEVER;
	until_ns = atomic_load_explicit(&family->rest_until_ns, memory_order_relaxed);
	if (now_ns < until_ns)
		return until_ns;
	return any_waited() ? now_ns + RETRY_S * NS_PER_SEC : TIME_NEVER; /* who doesn't wait follows when he does */
}

bool family_is_calm(void)
{
	return !family || (sock.accepts && !family_rests() && !atomic_load_explicit(&family->rest_until_ns, memory_order_relaxed));
}

/* A window begins, unless another process has just begun one. */
static void window_begin(uint64_t began_ns, uint64_t now_ns, uint32_t passed)
{
	if (!atomic_compare_exchange_strong(&family->window_ns, &began_ns, now_ns))
		return;
	atomic_store(&family->passed, passed);
	atomic_store(&family->accepted, 0);
}

/* @passed clients were passed on: is it time to rest? Two processes that do this at once may miscount a little, which does no harm. */
static void judge(uint32_t passed)
{
	uint32_t many = atomic_load_explicit(&family->shared, memory_order_relaxed) ? MANY : MANY_LATE;
	uint64_t now_ns = sys_clock_ns(), began_ns = atomic_load(&family->window_ns), until_ns = atomic_load(&family->rest_until_ns);

	if (now_ns < until_ns)
		return;
	if (now_ns - began_ns > WINDOW_MS * NS_PER_MS || began_ns < until_ns) {
		window_begin(began_ns, now_ns, passed);
		return;
	}
	passed += atomic_fetch_add(&family->passed, passed);
	if (passed * OF_ACCEPTED < atomic_load(&family->accepted))
		return;
	if (now_ns - began_ns >= SPAN_MS * NS_PER_MS && passed >= many)
		rest_begin(until_ns, now_ns);
}

static void count_passed(void)
{
	uint32_t passed = deed_passed(sock.vj) - passed_seen;

	passed_seen += passed;
	if (passed)
		judge(passed);
}

void family_waits(bool calm)
{
	bool waits = false;

	if (family_is_blind())
		listeners_withdraw(REPORT_WHY_BLIND, (struct pause){ 0 });
	for (struct sock *s = sock.copied; s; s = s->next_copied) {
		if (!s->slot || !is_waited(s, NULL))
			continue;
		waits = true;
		atomic_store_explicit(&s->slot->waiter, myself(), memory_order_relaxed);
		if (!calm && may_have_turns(s->slot))
			turn_look(s->slot);
		if (unlikely(s->narrowed))
			port_widen(s);
	}
	if (!waits)
		return;
	count_passed();
	follow(true);
}

void family_woke(const struct sleeper *sl)
{
	for (const struct sock *s = sock.copied; s; s = s->next_copied) {
		uint64_t who = myself(), waits = seen_as(WAITS, sock.pid);

		if (!s->slot || is_waited(s, sl)) /* a process waits while any of its threads does */
			continue;
		if (who)
			atomic_compare_exchange_strong_explicit(&s->slot->waiter, &who, 0, memory_order_relaxed, memory_order_relaxed);
		if (may_have_turns(s->slot))
			atomic_compare_exchange_strong_explicit(&s->slot->seen, &waits, 0, memory_order_relaxed, memory_order_relaxed);
	}
}

void family_accepted(const struct sock *s)
{
	uint64_t nobody = 0;

	if (!s->slot)
		return;
	atomic_fetch_add_explicit(&family->accepted, 1, memory_order_relaxed);
	if (!may_have_turns(s->slot))
		return;
	atomic_compare_exchange_strong(&s->slot->seen, &nobody, seen_as(TOOK, sock.pid));
	if (has_taken)
		return;
	has_taken = true;
	looks_soon = SOON_LOOKS;
	kick_send(&sock.helper.kick); /* it may sleep for a tick */
}

bool family_late(struct sock *s)
{
	family_prepare();
	if (!s->slot)
		family_listens(s);
	return s->slot && is_asleep() && !atomic_load_explicit(&family->shared, memory_order_relaxed);
}

bool family_pass(const struct sock *s, bool stops)
{
	uint64_t who = s->slot && !is_waited(s, NULL) ? atomic_load_explicit(&s->slot->waiter, memory_order_relaxed) : 0;

	if (!(uint32_t)(who >> 32) || (int32_t)who <= 0 || who == myself())
		return false;
	if (!stops && !is_asleep())
		return false;
	/* each record is used once: the waiter writes it again when it sleeps again, unless it was killed */
	if (!atomic_compare_exchange_strong(&s->slot->waiter, &who, 0))
		return false;
	deed_offer_to(sock.vj, s->listener, stops ? DEED_OFFER_STOPS : DEED_OFFER, (uint32_t)(who >> 32), (int32_t)who);
	return true;
}

void family_look(bool idle)
{
	sleep_look(idle && listeners_ready());
	if (likely(!family))
		return;
	if (family_is_blind())
		listeners_withdraw(REPORT_WHY_BLIND, (struct pause){ 0 });
	count_passed();
	follow(any_waited());
}
