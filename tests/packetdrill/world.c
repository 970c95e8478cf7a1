// SPDX-License-Identifier: BSD-2-Clause
/*
 * The clock, the link, and who waits for what
 *
 * The clock stands while the first thread does anything but wait. Inside a wait of it the clock jumps: to the stack's next
 * timer, to the end of the second thread's patience, or to the end of the wait, whichever is first. Before each jump
 * the first thread waits, in real time, for the second one if that is on its way out of a call: packetdrill reads the
 * clock right after a call that blocked, and that reading is the sign that it has arrived.
 *
 * packetdrill sleeps until 20 us before an event and then reads the clock until the time has come. So a clock that is
 * read again and again, with nothing between, moves by a microsecond a reading, and stands again as soon as that end is
 * reached: what happens then happens at its time to the microsecond.
 */
#include "tests/packetdrill/pd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define ETH_BYTES 14u
#define START_US UINT64_C(1000000000)
#define PD_SPIN_US 20u	    /* packetdrill's own waiting after usleep() */
#define PD_SPINS_FREE 8u    /* readings of the clock in a row that are no spinning */
#define RETURN_WAIT_MS 500 /* real time given to the second thread */

/* ---- memory and link for the stack ----------------------------------------------------------- */

static void *world_mem_get(void *arg, size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	(void)arg;
	if (p == MAP_FAILED)
		return NULL;
	/* packetdrill locks all memory to come; pages that are never touched shall not be there */
	munlock(p, bytes);
	return p;
}

static void world_mem_put(void *arg, void *p, size_t bytes)
{
	(void)arg;
	munmap(p, bytes);
}

static struct pd_packet *packet_new(uint32_t room)
{
	struct pd_packet *pkt = malloc(sizeof(*pkt) + room);

	if (pkt != NULL) {
		pkt->next = NULL;
		pkt->room = room;
	}
	return pkt;
}

static bool world_tx_get(void *drv, struct link_frame *ret_frame)
{
	struct pd_world *w = drv;
	struct pd_packet *pkt = packet_new((w->set.tso ? PD_TSO_BYTES : w->set.mtu) + ETH_BYTES);

	if (pkt == NULL)
		return false;
	*ret_frame = (struct link_frame){
		.data = pkt->data,
		.room = w->set.mtu + ETH_BYTES,
		.token = (uint64_t)(uintptr_t)pkt,
	};
	return true;
}

static void world_tx_put(void *drv, const struct link_frame *frame)
{
	struct pd_world *w = drv;
	struct pd_packet *pkt = (struct pd_packet *)(uintptr_t)frame->token;

	pkt->len = frame->len;
	pkt->time_us = w->now_us;
	pkt->burst = w->burst;
	pkt->next = NULL;
	*w->sent_tail = pkt;
	w->sent_tail = &pkt->next;
}

static void world_frame_free(void *drv, const struct link_frame *frame)
{
	(void)drv;
	free((void *)(uintptr_t)frame->token);
}

static const struct link_ops world_link_ops = {
	.tx_get = world_tx_get,
	.tx_put = world_tx_put,
	.tx_unget = world_frame_free,
	.rx_free = world_frame_free,
};

static const uint8_t world_mac[6] = { 0x02, 0, 0, 0, 0, 1 }, world_peer_mac[6] = { 0x02, 0, 0, 0, 0, 2 };

static int world_link_add(struct pd_world *w)
{
	struct link_config cfg = {
		.ops = &world_link_ops,
		.drv = w,
		.mtu = w->set.mtu,
	};

	memcpy(cfg.mac, world_mac, sizeof(cfg.mac));
	memcpy(cfg.peer_mac, world_peer_mac, sizeof(cfg.peer_mac));
	return stack_link_add(w->stack, &cfg, &w->link);
}

/*
 * The stack is made when it is first needed: by then the script has set its sysctls.
 */
int pd_world_stack(struct pd_world *w)
{
	struct stack_config cfg = {
		.secret = "what is random? ",
		.seed = 1,
		.conns_max = 4096,
		.mem_bytes_max = (uint64_t)1 << 30,
		.mem_get = world_mem_get,
		.mem_put = world_mem_put,
		.mem_arg = w,
	};
	int err;

	pd_settings_refresh(&w->set);
	if (w->stack != NULL) {
		tcp_settings_set(w->stack, &w->set.tcp);
		return 0;
	}
	cfg.tcp = w->set.tcp;
	cfg.rmem = w->set.rmem;
	cfg.wmem = w->set.wmem;
	err = stack_create(&cfg, w->now_us, &w->stack);
	return err != 0 ? err : world_link_add(w);
}

int pd_world_init(struct pd_world *w, const char *flags)
{
	pthread_condattr_t attr;
	int err;

	*w = (struct pd_world){
		.first = pthread_self(),
		.now_us = START_US,
		.port_next = 32768,
	};
	w->sent_tail = &w->sent_head;
	if (ip_addr_parse("192.168.0.2", &w->local4) != 0 || ip_addr_parse("fd3d:fa7b:d17d::2", &w->local6) != 0)
		return -EINVAL;
	err = pd_settings_init(&w->set, flags);
	if (err != 0)
		return err;
	pthread_mutex_init(&w->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w->changed, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

void pd_world_fini(struct pd_world *w)
{
	for (int fd = 0; fd < PD_FDS_MAX; fd++)
		if (w->files[fd] != NULL)
			pd_file_free(w, w->files[fd]);
	stack_destroy(w->stack);
	while (w->sent_head != NULL) {
		struct pd_packet *pkt = w->sent_head;

		w->sent_head = pkt->next;
		free(pkt);
	}
	pthread_cond_destroy(&w->changed);
	pthread_mutex_destroy(&w->lock);
}

/* ---- what happened --------------------------------------------------------------------------- */

static void world_events(struct pd_world *w)
{
	struct stack_event ev[32];
	unsigned int cnt;

	while ((cnt = stack_events(w->stack, ev, ARRAY_SIZE(ev))) != 0)
		for (unsigned int i = 0; i < cnt; i++) {
			struct pd_file *f = (struct pd_file *)(uintptr_t)ev[i].cookie;

			if (f != NULL)
				pd_file_event(f, ev[i].events);
		}
}

static void world_waiters(struct pd_world *w)
{
	for (struct pd_waiter *me = w->waiters; me != NULL; me = me->next) {
		if (me->over || !(w->now_us >= me->deadline_us || me->ready(me->arg)))
			continue;
		me->over = true;
		w->returning++;
		pthread_cond_broadcast(&w->changed);
	}
}

void pd_settle(struct pd_world *w)
{
	if (w->stack == NULL)
		return;
	stack_now(w->stack, w->now_us);
	pd_twins(w);
	stack_run(w->stack);
	world_events(w);
	world_waiters(w);
}

/* ---- waiting --------------------------------------------------------------------------------- */

static bool world_is_first(const struct pd_world *w)
{
	return pthread_equal(w->first, pthread_self()) != 0;
}

void pd_seen(struct pd_world *w)
{
	if (world_is_first(w)) {
		w->spins = 0;
	} else if (w->returning != 0) {
		w->returning--;
		pthread_cond_broadcast(&w->changed);
	}
}

/* The second thread has left the call that it was in. */
static void world_gather(struct pd_world *w)
{
	struct timespec until;

	if (w->returning == 0)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += RETURN_WAIT_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (w->returning != 0)
		if (pthread_cond_timedwait(&w->changed, &w->lock, &until) != 0)
			w->returning = 0;
}

/* The clock jumps, @limit_us at the farthest. Return: false: nothing is going to happen, ever. */
static bool world_step(struct pd_world *w, uint64_t limit_us)
{
	uint64_t next_us;

	world_gather(w);
	next_us = limit_us;
	if (w->stack != NULL)
		next_us = min_u64(next_us, stack_deadline(w->stack));
	for (const struct pd_waiter *me = w->waiters; me != NULL; me = me->next)
		if (!me->over)
			next_us = min_u64(next_us, me->deadline_us);
	if (next_us == PD_NEVER)
		return false;
	if (next_us > w->now_us)
		w->now_us = next_us;
	w->burst++;
	pd_settle(w);
	return true;
}

static int wait_second(struct pd_world *w, bool (*ready)(void *arg), void *arg, uint64_t deadline_us)
{
	struct pd_waiter me = { .next = w->waiters, .ready = ready, .arg = arg, .deadline_us = deadline_us };
	struct pd_waiter **at;

	w->waiters = &me;
	while (!me.over)
		pthread_cond_wait(&w->changed, &w->lock);
	for (at = &w->waiters; *at != &me; at = &(*at)->next)
		;
	*at = me.next;
	return ready(arg) ? 0 : -EAGAIN;
}

int pd_wait(struct pd_world *w, bool (*ready)(void *arg), void *arg, uint64_t deadline_us)
{
	while (!ready(arg)) {
		if (w->now_us >= deadline_us)
			return -EAGAIN;
		if (!world_is_first(w)) {
			if (wait_second(w, ready, arg, deadline_us) == 0)
				return 0;
			if (w->now_us < deadline_us)
				pd_seen(w); /* somebody else took it: still inside */
		} else if (!world_step(w, deadline_us)) {
			return -EDEADLK;
		}
	}
	return 0;
}

void pd_usleep(struct pd_world *w, uint32_t us)
{
	uint64_t until_us = w->now_us + us;

	while (w->now_us < until_us)
		world_step(w, until_us);
	w->spin_until_us = until_us + PD_SPIN_US;
}

uint64_t pd_clock(struct pd_world *w)
{
	if (!world_is_first(w)) {
		pd_seen(w);
		return w->now_us;
	}
	if (++w->spins > PD_SPINS_FREE) {
		w->now_us++;
		pd_settle(w);
		if (w->now_us == w->spin_until_us)
			w->spins = 0;
	}
	return w->now_us;
}

/* ---- packets --------------------------------------------------------------------------------- */

int pd_netdev_send(struct pd_world *w, const void *buf, size_t len)
{
	const uint8_t *ip = buf;
	struct link_frame frame;
	struct pd_packet *pkt;
	bool v4;

	if (len == 0 || len > UINT16_MAX)
		return -EINVAL;
	v4 = ip[0] >> 4 == 4;
	if (w->stack == NULL && pd_world_stack(w) != 0)
		return -ENOMEM;
	pkt = packet_new((uint32_t)len + ETH_BYTES);
	if (pkt == NULL)
		return -ENOMEM;
	memcpy(pkt->data, world_mac, 6);
	memcpy(pkt->data + 6, world_peer_mac, 6);
	store_be16(pkt->data + 12, v4 ? 0x0800 : 0x86dd);
	memcpy(pkt->data + ETH_BYTES, buf, len);
	frame = (struct link_frame){
		.data = pkt->data,
		.len = pkt->room,
		.room = pkt->room,
		.token = (uint64_t)(uintptr_t)pkt,
	};
	stack_now(w->stack, w->now_us);
	stack_rx(w->stack, w->link, &frame, 1);
	pd_settle(w);
	return 0;
}

/*
 * Nothing will ever leave, and packetdrill would wait for ever: it gets what is no packet, says so and ends the script.
 */
static int receive_nothing(struct pd_world *w, void *buf, size_t *len, long long *time_us)
{
	fprintf(stderr, "libvj-packetdrill: no packet is going to leave: no timer runs\n");
	if (++w->nothing_cnt > 3)
		exit(EXIT_FAILURE);
	*len = *len < 20 ? *len : 20;
	memset(buf, 0, *len);
	*time_us = (long long)w->now_us;
	return 0;
}

int pd_netdev_receive(struct pd_world *w, void *buf, size_t *len, long long *time_us)
{
	struct pd_packet *pkt;

	while (w->sent_head == NULL)
		if (!world_step(w, PD_NEVER))
			return receive_nothing(w, buf, len, time_us);
	pd_tso_run(w);
	pkt = w->sent_head;
	w->sent_head = pkt->next;
	if (w->sent_head == NULL)
		w->sent_tail = &w->sent_head;
	*len = min_size(*len, pkt->len - ETH_BYTES);
	memcpy(buf, pkt->data + ETH_BYTES, *len);
	*time_us = (long long)pkt->time_us;
	free(pkt);
	return 0;
}
