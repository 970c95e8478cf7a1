// SPDX-License-Identifier: BSD-2-Clause
/*
 * Two stacks and the wire between them, in one process and in virtual time
 *
 * The wire has two directions, each with delay, jitter, a rate and the queue before it, and
 * accidents by seed: loss, single or in bursts, duplication, reordering (a frame held back), a
 * flipped bit. Or it is a direct channel: nothing happens to a frame, but only so many are under
 * way, and who sends more has to wait.
 *
 * Bursts are Gilbert and Elliott's: a direction is good or bad, each frame may turn it, and in the
 * bad state frames are lost with another probability. Silence ends a burst.
 *
 * There may be a router on the way, whose next link carries only smaller packets (router.h).
 *
 * A side may be something else than a stack of ours (struct outside): another stack, or the kernel,
 * for which time is real. Its packets go through the same wire.
 *
 * Every segment is watched (watch.h), and after every step with `walk` set, both stacks (walk.h).
 */
#ifndef VJ_TESTS_SIM_TWO_STACKS_H
#define VJ_TESTS_SIM_TWO_STACKS_H

#include "base/prng.h"
#include "stack/stack.h"
#include "tests/sim/fake_link.h"
#include "tests/sim/router.h"
#include "tests/sim/watch.h"

#define TWO_STACKS_EXTRA_MAX 4

struct wire_config {
	uint64_t delay_us;
	uint64_t jitter_us;    /* added, uniform, order kept */
	uint64_t bits_per_s;   /* 0: no limit */
	uint32_t queue_frames; /* before the rate; 0: no limit */
	uint32_t mark_frames;  /* as many before a frame: CE (RFC 3168) if it is ECT; 0: never */
	uint32_t loss_ppm, dup_ppm, reorder_ppm, corrupt_ppm;
	uint32_t bad_enter_ppm, bad_leave_ppm, bad_loss_ppm; /* bursts of loss */
	uint64_t loss_mask[2]; /* [i] bit n: the n-th frame, from 0, that side i sends is lost */
	uint32_t frames_max;  /* taken and not yet delivered; 0: no limit. At it tx_get() fails */
	uint32_t frame_bytes; /* room of each frame; 0: what the MTU needs */
	uint32_t mtu;	      /* 0: 1500 */
	uint32_t flags;	      /* enum link_flags */
	uint32_t rx_hold_max; /* 0: 16 */
};

struct wire_frame {
	uint64_t at_us;
	uint64_t serial; /* order among those of one time */
	struct link_frame frame;
	uint32_t flip; /* bit to flip on arrival, counted from 1; 0: none */
};

/* One direction */
struct wire {
	struct two_stacks *sim;
	unsigned int to; /* side that receives */
	struct wire_config cfg;
	struct wire_frame *heap;
	uint32_t cnt, cap;
	uint64_t serial;
	uint64_t free_us; /* when the rate lets the next frame go */
	uint64_t last_us; /* no frame overtakes by jitter */
	uint32_t taken;	  /* frames got and not yet delivered or given back */
	bool refused;	  /* the sender waits for a frame */
	bool bad;	  /* in a burst of loss */
	uint64_t loss_us; /* when a frame was looked at last */
	uint64_t sent, lost, marked;
	struct router router; /* on the way; the test may change it at any time: two_stacks_path() */
};

/* What is at an end of the wire in place of a stack */
struct outside {
	void *arg;
	/* An Ethernet frame arrives. */
	void (*deliver)(void *arg, const uint8_t *frame, uint32_t len);
	/* Its clock is now at @now_us: do what is due. NULL: it has a clock of its own. */
	void (*run)(void *arg, uint64_t now_us);
	/* When run() must be called again; not NULL if run is not */
	uint64_t (*deadline)(void *arg);
};

struct side {
	struct stack *s; /* NULL: outside */
	const struct outside *outside;
	struct link_id link;
	struct fake_mem mem;
	struct fake_link rx; /* counts received frames until freed */
	struct wire *out;
	struct endpoint addr; /* port 0 */
};

struct two_stacks {
	struct side side[2];
	struct wire wire[2]; /* [i] sends what side i sends */
	struct prng prng;
	uint64_t now_us;
	uint64_t steps;
	unsigned int idle_steps; /* in a row without time going on */
	/* added to both ways of the connection from side 0's port 1000 + n */
	uint64_t extra_delay_us[TWO_STACKS_EXTRA_MAX];
	struct watch watch;
	bool walk; /* after every step */
};

/* Both directions alike. @seed: of every accident. Fails the process if a stack cannot be made. */
void two_stacks_init(struct two_stacks *sim, const struct wire_config *wire, uint64_t seed, bool v6,
		     const struct stack_config *limits);

/*
 * The same with something else on sides where @outside[i] is not NULL. It is not watched whether
 * that keeps the rules.
 */
void two_stacks_init_outside(struct two_stacks *sim, const struct wire_config *wire, uint64_t seed,
			     bool v6, const struct stack_config *limits,
			     const struct outside *const outside[2]);

/* From now on, what side @from sends passes a router. @mtu: 0: there is none any more */
void two_stacks_path(struct two_stacks *sim, unsigned int from, uint32_t mtu, enum router_kind kind);

/* A side that is outside sends a frame: an Ethernet header of any content and an IP packet. */
void two_stacks_send(struct two_stacks *sim, unsigned int side, const uint8_t *frame, uint32_t len);

/* When the next thing happens; UINT64_MAX: nothing will. */
uint64_t two_stacks_next_us(const struct two_stacks *sim);

/*
 * To the next thing that happens, at most to @until_us: deliver what arrives, run the stacks.
 * Return: false: @until_us is reached.
 */
bool two_stacks_step(struct two_stacks *sim, uint64_t until_us);

/* Nothing may be left: connections, buffers, frames, memory. Aborts with the reason if there is. */
void two_stacks_fini(struct two_stacks *sim);

#endif
