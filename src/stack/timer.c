// SPDX-License-Identifier: BSD-2-Clause
#include "stack/timer.h"

#include "base/assert.h"
#include "base/bits.h"

#include <string.h>

#define SLOT_MASK (WHEEL_SLOTS - 1)
#define SLOT_DUE (WHEEL_LEVELS * WHEEL_SLOTS) /* number of wheel.due as a slot */
#define TICKS_AHEAD_MAX INT32_MAX

void wheel_init(struct wheel *wheel, uint64_t now_us)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->tick = now_us >> WHEEL_TICK_SHIFT;
	wheel->next = UINT64_MAX;
}

static struct wheel_node *node_at(const struct wheel *wheel, struct ref ref)
{
	return ref_node(&wheel->nodes, ref);
}

/* ---- slots ------------------------------------------------------------------------------------
 */

static struct ref *slot_head(struct wheel *wheel, uint32_t slot)
{
	return slot == SLOT_DUE ? &wheel->due : &wheel->slot[0][0] + slot;
}

static void slot_mark(struct wheel *wheel, uint32_t slot, bool used)
{
	if (slot == SLOT_DUE)
		return;
	if (used)
		bitmap_set(&wheel->used[0][0], slot);
	else
		bitmap_clear(&wheel->used[0][0], slot);
}

/* node->tick is set, and not before wheel->tick. */
static void slot_add(struct wheel *wheel, struct ref ref, struct wheel_node *node)
{
	uint32_t ahead = node->tick - (uint32_t)wheel->tick;
	uint32_t level = ahead == 0 ? 0 : bits_log2_floor(ahead) / WHEEL_SLOT_BITS;
	uint32_t slot = level * WHEEL_SLOTS + (node->tick >> level * WHEEL_SLOT_BITS & SLOT_MASK);
	struct ref *head = slot_head(wheel, slot);

	wheel->next = min_u64(wheel->next, (wheel->tick + ahead) >> level * WHEEL_SLOT_BITS
						   << level * WHEEL_SLOT_BITS);
	if (head->v != 0)
		node_at(wheel, *head)->prev = ref;
	else
		slot_mark(wheel, slot, true);
	node->next = *head;
	node->prev = ref_of(REF_SLOT, slot);
	*head = ref;
}

static void slot_del(struct wheel *wheel, struct wheel_node *node)
{
	if (node->next.v != 0)
		node_at(wheel, node->next)->prev = node->prev;
	if (ref_kind(node->prev) == REF_SLOT) {
		uint32_t slot = ref_id(node->prev);

		*slot_head(wheel, slot) = node->next;
		if (node->next.v == 0)
			slot_mark(wheel, slot, false);
	} else {
		node_at(wheel, node->prev)->next = node->next;
	}
	node->prev.v = 0;
}

/* Make a slot the due list, which is empty. */
static void slot_take(struct wheel *wheel, uint32_t slot)
{
	struct ref *head = slot_head(wheel, slot);

	wheel->due = *head;
	if (head->v == 0)
		return;
	node_at(wheel, *head)->prev = ref_of(REF_SLOT, SLOT_DUE);
	head->v = 0;
	slot_mark(wheel, slot, false);
}

/* ---- arming -----------------------------------------------------------------------------------
 */

void wheel_arm(struct wheel *wheel, struct ref ref, uint64_t due_us)
{
	struct wheel_node *node = node_at(wheel, ref);
	uint64_t tick = due_us >> WHEEL_TICK_SHIFT;

	if ((due_us & ((1 << WHEEL_TICK_SHIFT) - 1)) != 0)
		tick++;
	tick = max_u64(tick, wheel->tick + 1);
	tick = min_u64(tick, wheel->tick + TICKS_AHEAD_MAX);
	if (wheel_armed(node))
		slot_del(wheel, node);
	else
		wheel->armed_cnt++;
	node->tick = (uint32_t)tick;
	slot_add(wheel, ref, node);
}

void wheel_disarm(struct wheel *wheel, struct ref ref)
{
	struct wheel_node *node = node_at(wheel, ref);

	if (!wheel_armed(node))
		return;
	slot_del(wheel, node);
	wheel->armed_cnt--;
}

/* ---- turning ----------------------------------------------------------------------------------
 */

/* Slots from @idx + 1, cyclically, to the first used one: 1..WHEEL_SLOTS; 0: none. */
static uint32_t slots_to_used(const uint64_t *used, uint32_t idx)
{
	uint32_t found = BITMAP_NONE;

	if (idx + 1 < WHEEL_SLOTS)
		found = bitmap_find_set(used, WHEEL_SLOTS, idx + 1);
	if (found == BITMAP_NONE)
		found = bitmap_find_set(used, WHEEL_SLOTS, 0);
	if (found == BITMAP_NONE)
		return 0;
	return found > idx ? found - idx : found + WHEEL_SLOTS - idx;
}

/* The first tick after this one at which a used slot starts; UINT64_MAX: none */
static uint64_t next_tick(const struct wheel *wheel)
{
	uint64_t next = UINT64_MAX;

	for (unsigned int level = 0; level < WHEEL_LEVELS; level++) {
		uint64_t now = wheel->tick >> level * WHEEL_SLOT_BITS;
		uint32_t slots = slots_to_used(wheel->used[level], now & SLOT_MASK);

		if (slots != 0)
			next = min_u64(next, (now + slots) << level * WHEEL_SLOT_BITS);
	}
	return next;
}

/* Levels on which a slot starts at @tick: 1..WHEEL_LEVELS */
static uint32_t levels_at(uint64_t tick)
{
	uint32_t levels = 1;

	while (levels < WHEEL_LEVELS && (tick >> (levels - 1) * WHEEL_SLOT_BITS & SLOT_MASK) == 0)
		levels++;
	return levels;
}

/* On to the next tick that has something, at most to @target. Return: false: none. */
static bool wheel_advance(struct wheel *wheel, uint64_t target)
{
	/* What it says may have been taken or disarmed since. */
	if (wheel->next <= max_u64(wheel->tick, target))
		wheel->next = next_tick(wheel);
	if (wheel->next > target) {
		wheel->tick = max_u64(wheel->tick, target);
		return false;
	}
	wheel->tick = wheel->next;
	wheel->levels_left = levels_at(wheel->tick);
	return true;
}

unsigned int wheel_run(struct wheel *wheel, uint64_t now_us, unsigned int budget,
		       void (*fire)(void *arg, struct ref ref), void *arg)
{
	uint64_t target = now_us >> WHEEL_TICK_SHIFT;
	unsigned int fired = 0;

	for (; budget > 0; budget--) {
		struct wheel_node *node;
		struct ref ref;

		/* From the top, because what moves down may land in a slot that is next. */
		while (wheel->due.v == 0) {
			if (wheel->levels_left == 0 && !wheel_advance(wheel, target))
				return fired;
			uint32_t level = --wheel->levels_left;

			slot_take(wheel, level * WHEEL_SLOTS +
						 (uint32_t)(wheel->tick >> level * WHEEL_SLOT_BITS &
							    SLOT_MASK));
		}
		ref = wheel->due;
		node = node_at(wheel, ref);
		slot_del(wheel, node);
		if (node->tick != (uint32_t)wheel->tick) {
			slot_add(wheel, ref, node);
			continue;
		}
		wheel->armed_cnt--;
		fire(arg, ref);
		fired++;
	}
	return fired;
}

uint64_t wheel_next_us(const struct wheel *wheel)
{
	if (wheel->armed_cnt == 0)
		return TIME_NEVER;
	if (wheel->due.v != 0 || wheel->levels_left != 0)
		return wheel->tick << WHEEL_TICK_SHIFT;
	VJ_ASSERT_OP(wheel->next, !=, UINT64_MAX);
	return wheel->next << WHEEL_TICK_SHIFT;
}
