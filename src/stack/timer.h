// SPDX-License-Identifier: BSD-2-Clause
/*
 * Hierarchical timing wheel (Varghese and Lauck 1987): arm, disarm and fire in O(1) for ten million
 * timers
 *
 * Time is cut in ticks of 2^10 us. Four levels of 256 slots: a timer due in d ticks waits on level
 * 0 if d < 2^8, on level 1 if d < 2^16 and so on, in the slot that its tick falls into. When the
 * wheel reaches the start of a slot above level 0, the timers in it move down. Bitmaps of used
 * slots let it jump over empty time, however long.
 *
 *	level 0:   256 slots of 1.024 ms = 262 ms
 *	level 1:   256 slots of  262 ms  = 67 s
 *	level 2:   256 slots of   67 s   = 4.8 h
 *	level 3:   256 slots of  4.8 h   = 50 days, of which 25 are used
 *
 * A timer never fires early, and late by less than one tick plus what the caller is late, unless
 * more than a call's budget of timers are due at once.
 *
 * Owners re-arm lazily: a deadline that only moves away (the retransmission timer of a busy
 * connection) need not be moved in the wheel. The owner keeps the true deadline, lets the node
 * fire, sees that it is early, and arms again.
 *
 * The node lives in the owner and is 12 bytes.
 */
#ifndef VJ_STACK_TIMER_H
#define VJ_STACK_TIMER_H

#include "base/time.h"
#include "base/types.h"
#include "stack/ref.h"

#define WHEEL_TICK_SHIFT 10 /* log2 of microseconds */
#define WHEEL_LEVELS 4
#define WHEEL_SLOT_BITS 8
#define WHEEL_SLOTS (1 << WHEEL_SLOT_BITS)

/* Zeroed: not armed. An object sets it so when it is made. */
struct wheel_node {
	struct ref next;
	struct ref prev; /* 0: not armed; the slot, for the first in a slot */
	uint32_t tick;	 /* low 32 bits of the tick it is due at */
};

struct wheel {
	uint64_t tick; /* where the wheel stands; what is in `due` and below `levels_left` is left
			  of it */
	uint32_t armed_cnt;
	uint32_t levels_left; /* whose slots at `tick` have not been taken yet */
	struct ref due;	      /* slot taken last, without those done */
	uint64_t next;	      /* no used slot starts before; kept exact enough: see wheel_next_us() */
	uint64_t used[WHEEL_LEVELS][WHEEL_SLOTS / 64]; /* bit: slot not empty */
	struct ref slot[WHEEL_LEVELS][WHEEL_SLOTS];
	struct ref_space nodes; /* kinds that have timers: ref_space_set() at start */
};

void wheel_init(struct wheel *wheel, uint64_t now_us);

static inline bool wheel_armed(const struct wheel_node *node)
{
	return node->prev.v != 0;
}

/*
 * When an armed node fires, in microseconds, given the wheel's time. To decide whether a deadline
 * needs a move: if wheel_due_us() <= deadline, let it fire and re-arm then.
 */
static inline uint64_t wheel_due_us(const struct wheel *wheel, const struct wheel_node *node)
{
	int32_t ahead = (int32_t)(node->tick - (uint32_t)wheel->tick);

	return (uint64_t)((int64_t)wheel->tick + ahead) << WHEEL_TICK_SHIFT;
}

/*
 * Fire at @due_us or within the tick after it; what is past, with the next tick. Moves an armed
 * timer.
 * @due_us: More than 2^31 ticks ahead (25 days) counts as that.
 */
void wheel_arm(struct wheel *wheel, struct ref ref, uint64_t due_us);

/* Not armed: nothing happens. */
void wheel_disarm(struct wheel *wheel, struct ref ref);

/*
 * Fire what is due at @now_us. A timer is disarmed before @fire is called, which may arm and disarm
 * any.
 * @budget: timers to fire or to move down at most, so that a call has an end; what is left keeps
 * its turn. Return: timers fired.
 */
unsigned int wheel_run(struct wheel *wheel, uint64_t now_us, unsigned int budget,
		       void (*fire)(void *arg, struct ref ref), void *arg);

/*
 * When wheel_run() has to be called again: never after a timer's tick, and possibly before, when
 * timers have to move down (at most once per level and timer) or the first was disarmed (once).
 * TIME_NEVER: nothing armed. In the past: now. Asked for after every message, so no search.
 */
uint64_t wheel_next_us(const struct wheel *wheel);

#endif
