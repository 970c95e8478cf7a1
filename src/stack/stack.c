// SPDX-License-Identifier: BSD-2-Clause
#include "stack/stack.h"

#include "base/assert.h"
#include "base/bits.h"
#include "stack/ip_pmtu.h"
#include "stack/stack_priv.h"
#include "stack/tcp_hooks.h"
#include "stack/udp.h"

#include <sodium/crypto_shorthash_siphash24.h>

#include <errno.h>
#include <string.h>

#define CONNS_MAX (UINT32_C(1) << 24)
#define MEM_BYTES_MIN ((uint64_t)4 << 20)
#define BUF_BYTES_DEFAULT ((uint32_t)256 << 10)
#define BUF_BYTES_MAX ((uint32_t)1 << 30)
/* Timers in one stack_run(): some milliseconds at most, so that frames don't wait behind a million
 * of them. */
#define TIMER_BUDGET 16384

/* ---- from beginning to end --------------------------------------------------------------------
 */

/* struct stack, then UDP's and TCP's share, and the rooms, each on a cache line of its own. Pages of the rooms that nobody uses aren't there. */
static size_t stack_bytes(size_t *ret_udp_off, size_t *ret_tcp_off)
{
	*ret_udp_off = bits_align_up(sizeof(struct stack), VJ_CACHELINE);
	*ret_tcp_off = bits_align_up(*ret_udp_off + udp_global_bytes(), VJ_CACHELINE);
	return bits_align_up(*ret_tcp_off + tcp_global_bytes(), VJ_CACHELINE) + STACK_RX_ROOM + STACK_TX_ROOM;
}

static int flow_init_keyed(struct stack *s)
{
	uint8_t secret[FLOW_SECRET_BYTES];

	for (size_t i = 0; i < sizeof(secret); i += 8) {
		uint8_t what[] = { 'f', 'l', 'o', 'w', (uint8_t)i };

		store_u64(secret + i, stack_siphash(s, what, sizeof(what)));
	}
	return flow_init(&s->flows, &s->mem, secret, 0);
}

static int stack_init(struct stack *s)
{
	int ret;

	ret = links_init(&s->links, &s->mem);
	if (ret == 0)
		ret = bufs_init(&s->bufs, &s->mem, &s->links);
	if (ret == 0)
		ret = flow_init_keyed(s);
	if (ret == 0)
		ret = ports_init(&s->ports, &s->mem, &s->flows);
	if (ret != 0)
		return ret;
	s->run_due_us = TIME_NEVER;
	wheel_init(&s->wheel, s->now_us);
	prng_seed(&s->prng, s->cfg.seed);
	ref_space_set(&s->output_nodes, REF_LINK, &s->links.pool,
		      offsetof(struct link, with_output));
	ret = reass_init(s);
	if (ret == 0)
		ret = udp_init(s);
	if (ret == 0)
		ret = tcp_init(s);
	return ret;
}

/* Linux's tcp_rmem; of tcp_wmem the default is more than its, since only data take memory here */
static int stack_buf_limits(struct stack *s)
{
	static const struct stack_buf_limits rmem = { 4096, 131072, 6291456 };
	static const struct stack_buf_limits wmem = { 4096, 262144, 4194304 };
	struct stack_buf_limits *const limits[2] = { &s->cfg.rmem, &s->cfg.wmem };

	if (s->cfg.rmem.max == 0)
		s->cfg.rmem = rmem;
	if (s->cfg.wmem.max == 0)
		s->cfg.wmem = wmem;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		if (limits[i]->min == 0 || limits[i]->min > limits[i]->start ||
		    limits[i]->start > limits[i]->max || limits[i]->max > BUF_BYTES_MAX)
			return -EINVAL;
	s->sndbuf_set = s->cfg.sndbuf_bytes != 0;
	s->rcvbuf_set = s->cfg.rcvbuf_bytes != 0;
	if (!s->sndbuf_set)
		s->cfg.sndbuf_bytes = BUF_BYTES_DEFAULT;
	if (!s->rcvbuf_set)
		s->cfg.rcvbuf_bytes = BUF_BYTES_DEFAULT;
	return 0;
}

int stack_create(const struct stack_config *cfg, uint64_t now_us, struct stack **ret_s)
{
	size_t udp_off, tcp_off, bytes = stack_bytes(&udp_off, &tcp_off);
	struct stack *s;
	struct mem mem;
	int ret;

	if (cfg->conns_max < 1 || cfg->conns_max > CONNS_MAX || cfg->mem_bytes_max < MEM_BYTES_MIN)
		return -EINVAL;
	mem_init(&mem, cfg->mem_get, cfg->mem_put, cfg->mem_arg, cfg->mem_bytes_max);
	s = mem_get(&mem, bytes);
	if (s == NULL)
		return -ENOMEM;
	s->mem = mem;
	s->cfg = *cfg;
	s->now_us = now_us;
	s->udp = (struct udp_global *)((uint8_t *)s + udp_off);
	s->tcp = (struct tcp_global *)((uint8_t *)s + tcp_off);
	s->tx_room = (uint8_t *)s + bytes - STACK_TX_ROOM;
	s->rx_room = s->tx_room - STACK_RX_ROOM;
	ret = stack_buf_limits(s);
	if (ret != 0) {
		mem = s->mem;
		mem_put(&mem, s, bytes);
		return ret;
	}
	ret = stack_init(s);
	if (ret != 0) {
		stack_destroy(s);
		return ret;
	}
	*ret_s = s;
	return 0;
}

void stack_destroy(struct stack *s)
{
	size_t udp_off, tcp_off;
	struct mem mem;

	if (s == NULL)
		return;
	/* One object's event hangs on another's, so pools go last, and TCP does not take its events
	 * out. */
	udp_fini(s);
	reass_fini(s); /* takes its timers out from among TCP's, so before those go */
	tcp_fini(s);
	pmtu_fini(s);
	ports_fini(&s->ports);
	flow_fini(&s->flows);
	bufs_fini(&s->bufs);
	links_fini(&s->links);
	mem = s->mem;
	mem_put(&mem, s, stack_bytes(&udp_off, &tcp_off));
	/* What is still out was got by somebody and forgotten. */
	VJ_ASSERT_OP(mem.bytes, ==, 0u);
}

/* ---- time -------------------------------------------------------------------------------------
 */

void stack_now(struct stack *s, uint64_t now_us)
{
	if (now_us > s->now_us)
		s->now_us = now_us;
}

void stack_rx_soon(const struct stack *s)
{
	for (size_t at = 0; at < offsetof(struct stack, reass); at += VJ_CACHELINE)
		__builtin_prefetch((const char *)s + at);
}

static void stack_fire(void *arg, struct ref ref)
{
	struct stack *s = arg;

	if (ref_kind(ref) == REF_TCP) {
		tcp_timer(s, ref_id(ref));
		return;
	}
	VJ_ASSERT_OP(ref_kind(ref), ==, REF_REASS);
	reass_timer(s, ref_id(ref));
}

void stack_run(struct stack *s)
{
	if (s->owing_cnt != 0 || s->run_due_us <= s->now_us)
		tcp_run(s);
	wheel_run(&s->wheel, s->now_us, TIMER_BUDGET, stack_fire, s);
	if (s->pace_wheel.armed_cnt != 0)
		tcp_pace_run(s);
	stack_output_run(s);
}

uint64_t stack_deadline(const struct stack *s)
{
	uint64_t next_us;

	if (s->output_links_cnt > 0 || s->owing_cnt != 0)
		return s->now_us;
	next_us = min_u64(wheel_next_us(&s->wheel), s->run_due_us);
	if (unlikely(s->pace_wheel.armed_cnt != 0))
		return min_u64(next_us, tcp_pace_next_us(s));
	return next_us;
}

bool stack_unfinished(const struct stack *s)
{
	return s->output_cnt > 0 || s->owing_cnt != 0;
}

/* ---- events -----------------------------------------------------------------------------------
 */

static enum stack_obj stack_obj_of(struct ref ref)
{
	switch (ref_kind(ref)) {
	case REF_TCP:
		return STACK_OBJ_TCP;
	case REF_LISTENER:
		return STACK_OBJ_LISTENER;
	default:
		VJ_ASSERT_OP(ref_kind(ref), ==, REF_UDP);
		return STACK_OBJ_UDP;
	}
}

unsigned stack_events(struct stack *s, struct stack_event *ev, unsigned n)
{
	unsigned int cnt;

	for (cnt = 0; cnt < n && !ref_list_empty(&s->events); cnt++) {
		struct ref ref = s->events.head;
		struct event_node *node = ref_node(&s->event_nodes, ref);

		ev[cnt] = (struct stack_event){
			.obj = stack_obj_of(ref),
			.id = ref_id(ref),
			.cookie = event_cookie(node),
			.events = node->bits,
		};
		ref_list_pop(&s->event_nodes, &s->events, &node->list);
		node->bits = 0;
	}
	return cnt;
}

/* Tables of characters, here and where other names are: one of pointers would be relocated in each process that loads the library. */
enum { DROP_TEXT_BYTES = 48, DROP_NAME_BYTES = 24 };

/* ---- counters and secrets ---------------------------------------------------------------------
 */

const char *stack_drop_text(enum stack_drop why)
{
	static const char text[][DROP_TEXT_BYTES] = {
#define X(name, sentence) [STACK_DROP_##name] = sentence,
		STACK_DROPS(X)
#undef X
	};

	return (unsigned int)why < ARRAY_SIZE(text) ? text[why] : "unknown";
}

const char *stack_drop_name(enum stack_drop why)
{
	static const char name[][DROP_NAME_BYTES] = {
#define X(name, sentence) [STACK_DROP_##name] = #name,
		STACK_DROPS(X)
#undef X
	};

	return (unsigned int)why < ARRAY_SIZE(name) ? name[why] : NULL;
}

void stack_stats(const struct stack *s, struct stack_stats *ret_stats)
{
	*ret_stats = s->stats;
	ret_stats->tcp_conns = s->conns.used + s->tw_cnt;
	ret_stats->mem_bytes = s->mem.bytes;
}

uint64_t stack_siphash(const struct stack *s, const void *p, size_t len)
{
	uint8_t out[crypto_shorthash_siphash24_BYTES];

	_Static_assert(crypto_shorthash_siphash24_KEYBYTES == sizeof(s->cfg.secret), "SipHash-2-4");
	/* not by its other name, crypto_shorthash(): the object with that needs random numbers, and so all of the library */
	crypto_shorthash_siphash24(out, p, len, s->cfg.secret);
	return load_u64(out);
}
