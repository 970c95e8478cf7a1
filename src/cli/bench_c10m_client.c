// SPDX-License-Identifier: BSD-2-Clause
/*
 * The client of vj bench c10m, in four parts: make all connections; send messages on random ones; check each by one echo;
 * close all. Each message says which connection it is for and when it was due, and has words made from both, so nothing
 * needs to be remembered of it: an answer is checked against the connection that it came on. One is
 * outstanding on a connection at most, which a bit per connection sees to.
 */
#include "cli/bench_c10m.h"
#include "cli/cmd.h"

#include "base/bits.h"
#include "base/prng.h"
#include "base/time.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	MAKING_MAX = 256,  /* handshakes under way */
	WINDOW = 128,	   /* messages outstanding */
	WINDOW_RATE = 8192, /* ... when there is a rate to be kept */
	CLOSE_BATCH = 64,
	AHEAD = 32,	   /* connections chosen before their turn: half that way they are known, the rest their memory comes */
	TELL_MS = 100,
	SILENCE_MAX_S = 30, /* then it has failed */
	TURNS_QUIET = 64,   /* looks that found nothing, between looks at the clock */
};

/* Which connections get messages, when, and when it is enough */
struct load {
	uint64_t messages, end_ns; /* whichever comes first */
	uint64_t every_ns_q16; /* time between two, in 2^-16 ns; 0: as many as WINDOW allows */
	bool random;	       /* else each once */
	uint32_t window;
};

struct client {
	struct many many;
	struct c10m_shared *sh;
	uint32_t *conns;    /* by index */
	uint64_t *busy;	    /* bitmap over the indices: a message is outstanding */
	uint32_t cnt, made; /* connections wanted, established */
	uint32_t active;    /* that get messages */
	uint32_t stride, place; /* to visit all in an order that memory does not like */
	size_t bytes;
	uint32_t next[AHEAD]; /* a ring: those chosen */
	uint64_t chosen;
	uint64_t sent, answered, now_ns, heard_ns, told_ns;
	unsigned quiet;
	struct prng prng;
	struct hist *hist;
	uint16_t port;
	uint8_t out[BENCH_C10M_BYTES_MAX], in[BENCH_C10M_BYTES_MAX];
};

static int failed(struct client *c, const char *what, int rc)
{
	c->many.failed = what;
	return rc;
}

int many_connect(struct many *m, uint16_t port, uint32_t idx, uint32_t *ret_conn)
{
	int rc = -EADDRNOTAVAIL;

	for (unsigned tries = 0; tries < 1024 && rc == -EADDRNOTAVAIL; tries++) {
		if (m->source == 0 || m->source_used == MANY_PER_ADDRESS || tries > 0) {
			m->source = m->source == 0 ? UINT32_C(0x7f000002) : m->source + 1;
			m->source_used = 0;
		}
		m->source_used++;
		rc = m->ops->connect(m, port, idx, ret_conn);
	}
	return rc;
}

/* ---- messages ---- */

static uint64_t word(uint64_t idx, uint64_t due_ns, size_t at)
{
	return (idx * UINT64_C(0x9e3779b97f4a7c15) ^ due_ns) + at;
}

static int message_send(struct client *c, uint32_t idx, uint64_t due_ns)
{
	ssize_t n;

	store_u64(c->out, idx);
	store_u64(c->out + 8, due_ns);
	for (size_t at = 16; at + 8 <= c->bytes; at += 8)
		store_u64(c->out + at, word(idx, due_ns, at));
	bitmap_set(c->busy, idx);
	n = c->many.ops->send(&c->many, c->conns[idx], c->out, c->bytes);
	if (n != (ssize_t)c->bytes)
		return failed(c, "a message was not taken whole", n < 0 ? (int)n : -EMSGSIZE);
	c->sent++;
	return 0;
}

/* Return: 1: the answer; 0: nothing yet. */
static int answer_take(struct client *c, const struct many_event *ev)
{
	ssize_t n = c->many.ops->recv(&c->many, ev->conn, c->in, sizeof(c->in));
	uint64_t due_ns = load_u64(c->in + 8), wrong;

	if (n == -EAGAIN)
		return 0;
	if (n <= 0)
		return failed(c, "a connection", n == 0 ? -ECONNRESET : (int)n);
	wrong = (uint64_t)n ^ c->bytes;
	wrong |= load_u64(c->in) ^ ev->idx;
	for (size_t at = 16; wrong == 0 && at + 8 <= c->bytes; at += 8)
		wrong |= load_u64(c->in + at) ^ word(ev->idx, due_ns, at);
	if (wrong != 0 || !bitmap_test(c->busy, ev->idx))
		return failed(c, "an answer differs from its message", -EBADMSG);
	bitmap_clear(c->busy, ev->idx);
	c->answered++;
	hist_add(c->hist, c->now_ns - due_ns);
	return 1;
}

/* One look; notes the time if anything came, and now and then when nothing did. */
static int client_turn(struct client *c)
{
	struct many_event ev[MANY_EVENTS_MAX];
	int n = c->many.ops->poll(&c->many, ev, MANY_EVENTS_MAX), rc = n < 0 ? n : 0;

	if (n > 0 || ++c->quiet % TURNS_QUIET == 0 || c->many.wait_ms != 0)
		c->now_ns = bench_now_ns();
	if (n > 0)
		c->heard_ns = c->now_ns;
	for (int i = 0; i < n && rc >= 0; i++) {
		c->made += c->made < c->cnt && (ev[i].what & MANY_CONNECTED) != 0;
		if ((ev[i].what & MANY_FAILED) != 0)
			rc = failed(c, "a connection", -ECONNRESET);
		else if ((ev[i].what & MANY_READABLE) != 0)
			rc = answer_take(c, &ev[i]);
	}
	if (rc >= 0 && c->now_ns - c->heard_ns > SILENCE_MAX_S * NS_PER_SEC)
		rc = failed(c, "nothing more came", -ETIMEDOUT);
	return rc < 0 ? rc : 0;
}

/* Is it time to say how far we are? */
static bool tell_due(struct client *c)
{
	if (c->now_ns - c->told_ns < TELL_MS * NS_PER_MS)
		return false;
	c->told_ns = c->now_ns;
	return true;
}

/* ---- the parts ---- */

static double since_s(const struct client *c, uint64_t start_ns)
{
	return (double)(c->now_ns - start_ns) * 1e-9;
}

static int make_all(struct client *c)
{
	uint64_t start_ns = bench_now_ns();
	uint32_t begun = 0;
	int rc = 0;

	c->now_ns = c->heard_ns = start_ns;
	while (c->made < c->cnt && rc == 0) {
		while (begun < c->cnt && begun - c->made < MAKING_MAX && rc == 0) {
			rc = many_connect(&c->many, c->port, begun, &c->conns[begun]);
			begun += rc == 0;
		}
		if (rc == 0)
			rc = client_turn(c);
		if (tell_due(c))
			bench_progress(c->many.peer->ctx, "c10m: %u connections, %.0f/s", c->made,
				       c->made / (since_s(c, start_ns) + 1e-9));
	}
	c->sh->times.make = since_s(c, start_ns);
	return rc;
}

static uint32_t choose(struct client *c, const struct load *load)
{
	if (load->random)
		return (uint32_t)(prng_below(&c->prng, c->active) * c->cnt / c->active);
	c->place = (uint32_t)(((uint64_t)c->place + c->stride) % c->cnt);
	return c->place;
}

/*
 * The next, which was chosen AHEAD turns ago. None of the connections is in a cache by then: while those before it have their
 * turns, first its number comes, then what the stack has of it.
 */
static uint32_t choose_next(struct client *c, const struct load *load)
{
	uint32_t idx;

	do {
		uint32_t *place = &c->next[c->chosen % AHEAD], half = c->next[(c->chosen + AHEAD / 2) % AHEAD];

		idx = *place;
		*place = choose(c, load);
		c->chosen++;
		__builtin_prefetch(&c->conns[*place]);
		__builtin_prefetch(&c->busy[*place / 64], 1);
		c->many.ops->soon(&c->many, c->conns[half]);
	} while (load->random && bitmap_test(c->busy, idx)); /* has a message outstanding */
	return idx;
}

static int send_due(struct client *c, const struct load *load, uint64_t start_ns)
{
	int rc = 0;

	while (rc == 0 && c->sent < load->messages && c->sent - c->answered < load->window) {
		uint64_t due_ns = c->now_ns;

		if (load->every_ns_q16 != 0)
			due_ns = start_ns + (uint64_t)((unsigned __int128)c->sent * load->every_ns_q16 >> 16);
		if (due_ns > c->now_ns)
			break;
		rc = message_send(c, choose_next(c, load), due_ns);
	}
	return rc;
}

/* Return: 0 and how long it took. */
static int run_load(struct client *c, const struct load *load, const char *what, double *ret_s)
{
	uint64_t start_ns = bench_now_ns();
	int rc = 0;

	c->sent = c->answered = 0;
	c->now_ns = c->heard_ns = start_ns;
	c->chosen = 0;
	for (unsigned i = 0; i < AHEAD; i++)
		c->next[i] = choose(c, load);
	while (rc == 0 && (c->sent != c->answered || (c->now_ns < load->end_ns && c->sent < load->messages))) {
		if (c->now_ns < load->end_ns)
			rc = send_due(c, load, start_ns);
		if (load->every_ns_q16 != 0 && c->sent == c->answered) {
			c->now_ns = bench_now_ns();
			c->heard_ns = c->now_ns; /* nothing is waited for */
		}
		if (rc == 0)
			rc = client_turn(c);
		if (tell_due(c))
			bench_progress(c->many.peer->ctx, "c10m: %u connections, %s: %.0f/s", c->cnt, what,
				       (double)c->answered / (since_s(c, start_ns) + 1e-9));
	}
	*ret_s = since_s(c, start_ns);
	return rc;
}

static int messages(struct client *c)
{
	const struct bench_options *o = c->many.peer->ctx->o;
	struct bench_sample *sample = &c->many.peer->shm->sample;
	struct load load = {
		.messages = UINT64_MAX,
		.end_ns = bench_now_ns() + (uint64_t)(o->seconds * 1e9),
		.every_ns_q16 = o->rate > 0 ? (NS_PER_SEC << 16) / (uint64_t)o->rate : 0,
		.random = true,
		.window = min_u32(o->rate > 0 ? WINDOW_RATE : WINDOW, c->active),
	};
	int rc;

	memset(c->hist, 0, sizeof(*c->hist));
	rc = run_load(c, &load, "messages", &sample->seconds);
	sample->ops = c->answered;
	return rc;
}

static int check_all(struct client *c)
{
	struct load load = { .messages = c->cnt, .end_ns = UINT64_MAX, .window = min_u32(WINDOW, c->cnt) };
	struct hist *kept = c->hist, unused = { 0 };
	int rc;

	c->hist = &unused; /* percentiles are those of the messages */
	rc = run_load(c, &load, "checked", &c->sh->times.check);
	c->hist = kept;
	return rc;
}

/* Closed connections report nothing, so their number says whether they go on ending. */
static int await_end(struct client *c, uint64_t *ret_left)
{
	uint64_t before = UINT64_MAX;
	int rc = 0;

	c->many.wait_ms = MANY_WAIT_END_MS;

	for (;;) {
		uint32_t closed = atomic_load_explicit(&c->sh->closed, memory_order_relaxed);

		*ret_left = 0;
		if (c->many.ops->left != NULL)
			c->many.ops->left(&c->many, ret_left, &c->sh->client.resets);
		if (*ret_left == 0 && atomic_load_explicit(&c->sh->over, memory_order_acquire) != 0)
			return 0;
		if (*ret_left - closed != before)
			c->heard_ns = c->now_ns;
		before = *ret_left - closed;
		rc = client_turn(c);
		if (rc < 0)
			return c->now_ns - c->heard_ns > SILENCE_MAX_S * NS_PER_SEC ?
				       failed(c, "not all connections came to an end", rc) : rc;
	}
}

static int close_all(struct client *c)
{
	uint64_t start_ns = bench_now_ns(), left = 0;
	int rc = 0;

	c->now_ns = c->heard_ns = start_ns;
	c->many.wait_ms = 0;
	for (uint32_t i = 0; i < c->cnt && rc == 0; i++) {
		c->many.ops->hang_up(&c->many, c->conns[i]);
		if (i % CLOSE_BATCH != CLOSE_BATCH - 1)
			continue;
		rc = client_turn(c);
		c->heard_ns = c->now_ns; /* closed ones say nothing more */
		if (tell_due(c))
			bench_progress(c->many.peer->ctx, "c10m: closed %u of %u", i + 1, c->cnt);
	}
	if (rc == 0)
		rc = await_end(c, &left);
	c->now_ns = bench_now_ns();
	c->sh->client.left = left;
	c->sh->times.close = since_s(c, start_ns);
	return rc;
}

/* Both sides, while all connections are open */
static void measure(struct client *c)
{
	atomic_store_explicit(&c->sh->measure, 1, memory_order_release);
	bench_memory_read(&c->sh->client.open);
	while (atomic_load_explicit(&c->sh->measured, memory_order_acquire) == 0 &&
	       atomic_load_explicit(&c->many.peer->shm->stop, memory_order_relaxed) == 0)
		usleep(100);
}

static uint32_t gcd(uint32_t a, uint32_t b)
{
	while (b != 0) {
		uint32_t r = a % b;

		a = b;
		b = r;
	}
	return a;
}

static int client_init(struct client *c)
{
	const struct bench_options *o = c->many.peer->ctx->o;

	c->cnt = c->sh->conns;
	c->active = max_u32((uint32_t)(o->active * c->cnt), 1);
	c->bytes = (size_t)o->bytes;
	c->hist = &c->many.peer->shm->sample.hist;
	/* who is to keep a rate looks at the clock instead of sleeping */
	c->many.wait_ms = c->many.peer->ctx->busy || o->rate > 0 ? 0 : MANY_WAIT_MS;
	c->stride = (uint32_t)(c->cnt * 0.618) | 1;
	while (gcd(c->stride, c->cnt) != 1)
		c->stride += 2;
	prng_seed(&c->prng, 1);
	c->conns = calloc(c->cnt, sizeof(*c->conns));
	c->busy = calloc(BITMAP_WORDS(c->cnt), sizeof(*c->busy));
	return c->conns != NULL && c->busy != NULL ? 0 : -ENOMEM;
}

int c10m_client(struct bench_peer *peer, const struct many_ops *ops, struct c10m_shared *sh)
{
	struct client c = { .many = { .ops = ops, .peer = peer }, .sh = sh };
	uint32_t port;
	int rc = client_init(&c);

	while ((port = atomic_load(&peer->shm->server_ready)) == 0)
		usleep(100);
	c.port = (uint16_t)port;
	if (rc == 0)
		rc = ops->open(&c.many);
	bench_memory_read(&sh->client.before);
	if (rc == 0)
		rc = make_all(&c);
	if (rc == 0)
		rc = messages(&c);
	if (rc == 0)
		measure(&c);
	if (rc == 0)
		rc = check_all(&c);
	if (rc == 0)
		rc = close_all(&c);
	if (rc < 0)
		return bench_fail(peer, c.many.failed != NULL ? c.many.failed : "client", rc);
	ops->close(&c.many);
	free(c.conns);
	free(c.busy);
	return EXIT_OK;
}
