// SPDX-License-Identifier: BSD-2-Clause
/*
 * forks.c - servers that fork for each connection: does a channel pay?
 *
 * The child has to open a context, claim the connection from its parent and map a channel to the client: about a millisecond that the
 * kernel does not need, and that is won back only over some dozens of round trips. So the children tell the parent, by a page
 * that they have in common with it, how long the connections lasted that they took over from it. When several were brief, and none
 * lasted, the parent gives its ports back to the kernel for a second: clients that come then are the kernel's. After that it
 * leases them again, and looks at a few connections anew: of some hundred in a second these few are slower.
 *
 * Connections that last (a pool's, a session's) keep their channels; one that begins while the ports rest has the kernel's speed.
 * Looked at by the helper at each of its ticks, which it keeps up as long as ports rest.
 */
#include "sock/priv.h"

#include "lib/lease.h"

#include <sys/mman.h>

enum { MANY = 4, WINDOW_MS = 1000, BRIEF_MS = 50, REST_MS = 1000 };

/* Of a parent and its children. Counts up, and around. */
struct lives {
	_Atomic uint32_t brief, lasting;
};

static struct {
	struct lives *above;  /* of the process that forked this one; NULL: none, or it isn't interested */
	struct lives *below;  /* of the children of this one; NULL: none yet */
	uint32_t brief, lasting; /* when the window began */
	uint64_t window_ns;
	uint64_t rest_until_ns; /* 0: does not rest */
} forks;

bool forks_rest(void)
{
	return forks.rest_until_ns != 0;
}

void forks_prepare(void)
{
	void *p;

	if (!sock.copied || forks.below)
		return;
	p = mmap(NULL, sizeof(struct lives), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	forks.below = p == MAP_FAILED ? NULL : p; /* nobody is judged, then */
}

void forks_child(void)
{
	if (forks.above)
		munmap(forks.above, sizeof(struct lives));
	forks = (typeof(forks)){ .above = forks.below };
}

void forks_claimed(struct sock *s)
{
	if (s->inherited && !s->claimed_ns)
		s->claimed_ns = sys_clock_ns();
}

void forks_ended(struct sock *s)
{
	bool brief;

	if (!s->inherited || !s->claimed_ns || !forks.above)
		return;
	brief = sys_clock_ns() - s->claimed_ns < BRIEF_MS * NS_PER_MS;
	s->claimed_ns = 0;
	atomic_fetch_add_explicit(brief ? &forks.above->brief : &forks.above->lasting, 1, memory_order_relaxed);
}

static void window_begin(uint64_t now_ns)
{
	forks.window_ns = now_ns;
	forks.brief = atomic_load_explicit(&forks.below->brief, memory_order_relaxed);
	forks.lasting = atomic_load_explicit(&forks.below->lasting, memory_order_relaxed);
}

static void rest_begin(uint64_t now_ns)
{
	forks.rest_until_ns = now_ns + REST_MS * NS_PER_MS;
	for (struct sock *s = sock.copied; s; s = s->next_copied)
		(void)lease_rest(sock.vj, s->listener, true);
	ctx_say("connections end too soon for channels to pay: those of the next second are the kernel's");
}

/* What vjd does not lease now is tried again after another rest. */
static void rest_end(uint64_t now_ns)
{
	forks.rest_until_ns = 0;
	for (struct sock *s = sock.copied; s; s = s->next_copied)
		if (lease_rest(sock.vj, s->listener, false))
			forks.rest_until_ns = now_ns + REST_MS * NS_PER_MS;
	window_begin(now_ns);
}

bool forks_look(void)
{
	uint64_t now_ns;
	uint32_t brief;

	if (likely(!forks.below) || sock.strict)
		return false;
	now_ns = sys_clock_ns();
	if (forks_rest()) {
		if (now_ns >= forks.rest_until_ns)
			rest_end(now_ns);
		return true;
	}
	brief = atomic_load_explicit(&forks.below->brief, memory_order_relaxed) - forks.brief;
	if (now_ns - forks.window_ns > WINDOW_MS * NS_PER_MS ||
	    atomic_load_explicit(&forks.below->lasting, memory_order_relaxed) != forks.lasting)
		window_begin(now_ns);
	else if (brief >= MANY && !vj_has_interface(sock.vj)) /* a handshake over the network can't change over */
		rest_begin(now_ns);
	return forks_rest();
}
