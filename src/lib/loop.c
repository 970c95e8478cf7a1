// SPDX-License-Identifier: BSD-2-Clause
/* loop.c - progress, events, and sleeping when there is nothing */
#include "base/time.h"
#include "channel/attach.h"
#include "channel/bell.h"
#include "channel/sys.h"
#include "driver/pcap.h"
#include "lib/deed.h"
#include "lib/link.h"
#include "lib/move.h"
#include "lib/ticks.h"
#include "lib/wait.h"

#include <errno.h>

enum {
	SPIN_MISSES_MAX = 4,	    /* spins in vain before spinning is given up for a while ... */
	SPIN_SKIP = 64,		    /* ... of so many sleeps */
	CLOCK_TICKS = 1000,	    /* half a microsecond at 2 GHz */
	CAPTURE_FLUSH_NS = 100000000, /* what a capture file may lag behind */
	OVERSLEEP_US = 1000,
	FEW_LINKS = 4,
};

/*
 * Reading the clock takes longer than looking at a ring that is empty. The counter says whether it may have moved enough to
 * matter: `now_ns` lags behind by CLOCK_TICKS of it, less than a microsecond. A counter that jumps or stands still
 * between two processors costs one reading, or one stale one.
 */
static void clock_refresh(struct vj *vj)
{
	uint64_t ticks = cpu_ticks();

	if (ticks && ticks - vj->clock_ticks < CLOCK_TICKS && vj->now_ns)
		return;
	vj->clock_ticks = ticks;
	vj->now_ns = lib_clock_ns();
}

bool vj_process(struct vj *vj)
{
	uint64_t now_us;
	bool any = false;

	clock_refresh(vj);
	now_us = vj->now_ns / 1000;
	stack_now(vj->stack, now_us);
	/* First what the last round left owed: in between the program had its chance to answer, and answers carry it. */
	if (vj->stack_touched) {
		vj->stack_touched = false;
		vj->deadline_us = stack_deadline(vj->stack);
	}
	if (vj->deadline_us <= now_us) {
		stack_run(vj->stack);
		vj->stack_touched = true;
		any = true;
	}
	if (unlikely(vj->crowded))
		vj->crowded = stack_is_crowded(vj->stack);
	for (unsigned i = 0, cnt = vj->crowded ? 0 : vj->link_cnt; i < cnt; i++)
		any |= link_rx(vj->links[i]);
	vj->stack_touched |= any;
	if (unlikely(vj->now_ns >= vj->ctl_next_ns))
		any |= control_poll(vj, vj->silent && vj->ctl_next_ns);
	if (unlikely(vj->now_ns >= vj->move_ns))
		move_poll(vj);
	if (vj->dirty)
		link_publish_dirty(vj);
	vj->silent = false;
	link_reap(vj);
	if (unlikely(vj->capture != NULL) && vj->now_ns - vj->capture_flushed_ns >= CAPTURE_FLUSH_NS) {
		vj->capture_flushed_ns = vj->now_ns;
		capture_flush(vj->capture);
	}
	return any;
}

unsigned vj_events(struct vj *vj, struct vj_event *ev, unsigned n)
{
	static const uint8_t obj_of[] = {
		[STACK_OBJ_TCP] = VJ_OBJ_CONN, [STACK_OBJ_LISTENER] = VJ_OBJ_LISTENER, [STACK_OBJ_UDP] = VJ_OBJ_UDP
	};
	struct stack_event batch[16];
	unsigned cnt = unlikely(vj->raw_cnt) ? raw_events(vj, ev, n) : 0;

	while (cnt < n) {
		unsigned want = min_u32(n - cnt, ARRAY_SIZE(batch));
		unsigned got = stack_events(vj->stack, batch, want);

		for (unsigned i = 0; i < got; i++)
			ev[cnt++] = (struct vj_event){ .obj = obj_of[batch[i].obj],
						       .events = batch[i].events,
						       .cookie = batch[i].cookie,
						       .conn = { batch[i].id } };
		if (got < want)
			break;
	}
	return cnt;
}

int vj_fd(const struct vj *vj)
{
	return vj->bell_fd;
}

bool vj_unfinished(const struct vj *vj)
{
	return stack_unfinished(vj->stack);
}

static void links_disarm(struct vj *vj, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		vj_channel_disarm(vj->links[i]->ch);
}

/* vjd is to be looked for, or told what it has not heard yet. UINT64_MAX: no */
static uint64_t control_deadline_us(const struct vj *vj)
{
	if (likely(vj->ctl && !vj->ctl_pause.s))
		return UINT64_MAX;
	return (vj->ctl ? vj->ctl_pause.until_ns : vj->ctl_next_ns) / 1000 + 1;
}

/* When something is to be done though nothing comes; UINT64_MAX: never */
static uint64_t deadline_us(const struct vj *vj)
{
	return min_u64(min_u64(stack_deadline(vj->stack), control_deadline_us(vj)), move_deadline_us(vj));
}

static bool links_arm(struct vj *vj)
{
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		struct vj_link *link = vj->links[i];
		bool want_tx = link->raw ? !vj_channel_tx_ready(link->ch) :
					   link->starved;

		link_give_back(link);
		link->raw_starved |= link->raw && want_tx;

		if (!link->kind->may_sleep(link) || !vj_channel_arm(link->ch, want_tx)) {
			links_disarm(vj, i);
			return false;
		}
	}
	vj->armed = true;
	vj->link_new = false;
	vj->sleeps++;
	return true;
}

void vj_put_off(struct vj *vj)
{
	stack_put_off(vj->stack);
	link_publish_all(vj);
}

bool vj_arm_sleeper(struct vj *vj)
{
	return !raw_pending(vj) && (!vj->ctl || vj->ctl_next_ns) && vj->move_ns && links_arm(vj);
}

bool vj_arm(struct vj *vj, int64_t *ret_timeout_ns)
{
	uint64_t until_us = stack_deadline(vj->stack);

	if (until_us != UINT64_MAX && until_us <= lib_clock_ns() / 1000) {
		vj->stack_touched = true; /* whoever looks again is to find this deadline: else he would for ever */
		return false;
	}
	if (!vj_arm_sleeper(vj))
		return false;
	until_us = deadline_us(vj);
	if (until_us == UINT64_MAX) {
		*ret_timeout_ns = -1;
	} else {
		uint64_t now_us = lib_clock_ns() / 1000;

		*ret_timeout_ns = until_us > now_us ? (int64_t)((until_us - now_us) * 1000) : 0;
	}
	return true;
}

static bool disarm(struct vj *vj)
{
	bool was_armed = vj->armed;

	if (was_armed)
		links_disarm(vj, vj->link_cnt);
	vj->armed = false;
	return was_armed;
}

/* What has come is about to be looked at. With many links it isn't known yet which of them rang. */
static void look_soon(const struct vj *vj)
{
	for (unsigned i = 0; vj->link_cnt <= FEW_LINKS && i < vj->link_cnt; i++)
		channel_rx_soon(vj->links[i]->ch);
	stack_rx_soon(vj->stack);
}

void vj_disarm(struct vj *vj)
{
	int rang;

	if (!disarm(vj))
		return;
	look_soon(vj); /* while the kernel is asked */
	rang = bell_set_wait(vj->bell_fd, 0); /* takes the rings seen off the edge-triggered set */
	vj->silent = rang >= 0 && !(rang & BELL_UNTAGGED) && !deed_any(vj);
	if (vj->silent)
		return;
	if (vj->deeds)
		vj->move_ns = 0;
	if (vj->ctl)
		vj->ctl_next_ns = 0;
}

void vj_disarm_unrung(struct vj *vj)
{
	if (deed_any(vj)) /* they have times of their own, and wait for what other descriptors and vjd bring */
		vj_disarm(vj);
	else
		vj->silent = disarm(vj);
}

bool vj_link_is_new(const struct vj *vj)
{
	return vj->link_new;
}

bool vj_oversleeps(const struct vj *vj, uint64_t wake_ns)
{
	return time_add_sat(min_u64(stack_deadline(vj->stack), control_deadline_us(vj)), OVERSLEEP_US) < wake_ns / 1000 ||
	       move_oversleeps(vj, wake_ns);
}

int vj_control_fd(const struct vj *vj)
{
	return vj->ctl ? ctl_client_fd(vj->ctl) : -1;
}

bool vj_has_links(const struct vj *vj)
{
	return vj->link_cnt > 0;
}

bool vj_is_calm(const struct vj *vj)
{
	return !vj->link_cnt && vj->ctl && vj->ctl_next_ns && deed_is_calm(vj) && deadline_us(vj) == UINT64_MAX && !raw_pending(vj) &&
	       !vj_unfinished(vj);
}

void vj_calm_begin(struct vj *vj)
{
	vj->ctl_next_ns = UINT64_MAX;
}

bool vj_stays_calm(const struct vj *vj)
{
	return vj->ctl_next_ns == UINT64_MAX && !vj->link_cnt && vj->ctl && !vj->ctl_pause.s && deed_is_calm(vj);
}

void vj_calm_end(struct vj *vj)
{
	if (vj->ctl) /* else it is when to look for vjd again */
		vj->ctl_next_ns = 0;
}

/* ---- spinning -------------------------------------------------------------------------------------------------- */

static void cpu_relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("isb");
#endif
}

/* Is it worth burning the CPU before sleeping? It is while it keeps paying. */
static bool spin_allowed(struct vj *vj)
{
	if (!vj->spin_ns || !vj_may_spin(vj, vj->alone))
		return false;
	if (vj->spin_skip) {
		vj->spin_skip--;
		return false;
	}
	return true;
}

static void spin_learn(struct vj *vj, bool won)
{
	if (won) {
		vj->spins_won++;
		vj->spin_misses = 0;
		return;
	}
	vj->spins_lost++;
	if (++vj->spin_misses >= SPIN_MISSES_MAX) {
		vj->spin_misses = SPIN_MISSES_MAX - 1; /* one try after the pause, not four */
		vj->spin_skip = SPIN_SKIP;
	}
}

/* Return: events found while spinning for at most @budget_ns. */
static unsigned spin_poll(struct vj *vj, struct vj_event *ev, unsigned n, uint64_t budget_ns)
{
	uint64_t start_ns = vj->now_ns;
	unsigned cnt;

	for (;;) {
		cpu_relax();
		if (vj_process(vj) || raw_pending(vj)) {
			cnt = vj_events(vj, ev, n);
			if (cnt) {
				spin_learn(vj, true);
				return cnt;
			}
		}
		if (vj->now_ns - start_ns >= budget_ns)
			break;
	}
	spin_learn(vj, false);
	return 0;
}

/* Return: 0; -EINTR. */
static int sleep_on_bell(struct vj *vj, uint64_t until_ns)
{
	int64_t timeout_ns;
	struct timespec ts, *tsp = NULL;
	struct pollfd pfd = { .fd = vj->bell_fd, .events = POLLIN };
	int n;

	if (!vj_arm(vj, &timeout_ns))
		return 0;
	if (until_ns != UINT64_MAX) {
		int64_t left_ns = until_ns > vj->now_ns ? (int64_t)(until_ns - vj->now_ns) : 0;

		timeout_ns = timeout_ns < 0 ? left_ns : min_s64(timeout_ns, left_ns);
	}
	if (timeout_ns >= 0) {
		ts.tv_sec = timeout_ns / 1000000000;
		ts.tv_nsec = timeout_ns % 1000000000;
		tsp = &ts;
	}
	n = sys_ppoll(&pfd, 1, tsp, NULL);
	vj_disarm(vj);
	return n == -EINTR ? -EINTR : 0;
}

int vj_poll(struct vj *vj, struct vj_event *ev, unsigned n, int64_t timeout_ns)
{
	uint64_t until_ns;
	unsigned cnt;

	vj_process(vj);
	cnt = vj_events(vj, ev, n);
	if (cnt || !timeout_ns)
		return (int)cnt;
	until_ns = timeout_ns < 0 ? UINT64_MAX : vj->now_ns + (uint64_t)timeout_ns;
	for (;;) {
		if (spin_allowed(vj)) {
			cnt = spin_poll(vj, ev, n, min_u64(vj->spin_ns, until_ns - vj->now_ns));
			if (cnt)
				return (int)cnt;
		}
		if (sleep_on_bell(vj, until_ns) == -EINTR)
			return -EINTR;
		vj_process(vj);
		cnt = vj_events(vj, ev, n);
		if (cnt || vj->now_ns >= until_ns)
			return (int)cnt;
	}
}
