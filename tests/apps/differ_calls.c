// SPDX-License-Identifier: BSD-2-Clause
/*
 * differ_calls - one of two sides that make socket calls in turns, drawn from a seed; says in a line what each did
 *
 * Theory of operation
 *
 * Two processes of this program draw the same steps from a seed and make them in turns. After each step both say how all
 * their sockets stand: what poll() reports, the bytes to be read, the bytes that are not acknowledged. Those are the lines of the
 * transcript; nothing in it may differ by chance (ports have names, control messages that are times have no value).
 * test_differ.py plays it on the kernel first, and then with either side or both under `vj run`, which must give the same lines.
 *
 * No step begins before the one before it has come to rest on both sides, and that is waited for, never slept for:
 *
 *	on the kernel	both sides are pinned to one processor, whose queue of loopback packets is in order: when a datagram to itself
 *			has come back some times, all that a call has set off has been handled. What timers hold back (Nagle, delayed
 *			ACKs) has been when nothing is unacknowledged.
 *	after that	the transcript of the kernel says how the sockets will stand. A side looks until they do; that they don't
 *			in WAIT_S is the difference.
 *
 * Calls that would wait for ever do not: all sockets have SO_RCVTIMEO, and the state has settled before, so what they find does not
 * depend on when it is over.
 *
 * usage: differ_calls SIDE BOARD TURN_IN TURN_OUT FD_SOCKET OUT_DIR FOLLOW_DIR|- FIRST_SEED LAST_SEED STEPS WAIT_S [DROPPED_STEP...]
 */
#include "differ.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { REST_S = 3, LOOKS_PER_S = 500, STEP_S = 200, PORT_FIRST = 10000, PORT_SEEDS = 2000, PORTS_OF_SEED = 8, OWN_FD = 800 };

struct slot slots[SLOTS];
int me, hand_over = -1;
struct board *board;
static int turn_in, turn_out, out_fd = -1;
static bool have_turn;
static uint64_t seed, wait_s;
static char line[8192];
static size_t line_len;
static char *ref, *ref_lines[8192]; /* what is followed */
static uint32_t ref_cnt;
static const char *follow_dir;
static char stood[8192]; /* how this side's sockets stood last */
static volatile sig_atomic_t sigpipes;

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "differ_calls: side %d, seed %llu: %s: %s\n", me, (unsigned long long)seed, what, strerror(errno));
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

void put(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	line_len += (size_t)vsnprintf(line + line_len, sizeof(line) - line_len, fmt, args);
	va_end(args);
	must(line_len < sizeof(line), "line too long");
}

void put_result(long r)
{
	if (r < 0)
		put(" = %s", strerrorname_np(errno));
	else
		put(" = %ld", r);
	if (sigpipes)
		put(" SIGPIPE");
	sigpipes = 0;
}

void put_bits(uint32_t bits)
{
	static const struct {
		uint32_t bit;
		const char *name;
	} names[] = { { POLLIN, "IN" },	  { POLLPRI, "PRI" }, { POLLOUT, "OUT" },     { POLLERR, "ERR" },
		      { POLLHUP, "HUP" }, { 0x2000, "RDHUP" }, { POLLNVAL, "NVAL" }, { POLLRDNORM | POLLWRNORM, "NORM" } };
	const char *before = "";

	for (size_t i = 0; i < COUNT(names); i++)
		if (bits & names[i].bit) {
			put("%s%s", before, names[i].name);
			before = ",";
		}
	if (!*before)
		put("none");
}

void put_bytes(const void *bytes, long len)
{
	const uint8_t *p = bytes;
	uint32_t hash = 2166136261u;

	for (long i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 16777619u;
	if (len > 0)
		put(" #%04x", hash >> 16 ^ (hash & 0xffff));
}

static unsigned port_name(enum kind kind, uint16_t port, bool *ret_known)
{
	unsigned i;

	for (i = 0; i < board->port_cnt; i++)
		if (board->ports[i].port == port && board->ports[i].kind == kind)
			break;
	*ret_known = i < board->port_cnt;
	if (!*ret_known) {
		must(i < PORTS_MAX, "too many ports");
		board->ports[i].kind = kind;
		board->ports[i].port = port;
		board->port_cnt++;
	}
	return i;
}

uint16_t port_of(unsigned nr)
{
	return (uint16_t)(PORT_FIRST + seed % PORT_SEEDS * PORTS_OF_SEED + nr);
}

void put_addr(enum kind kind, const struct sockaddr_storage *sa, socklen_t len)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
	char text[INET6_ADDRSTRLEN];
	unsigned port;
	bool known;

	if (len < sizeof(sa->ss_family))
		return put(" [len %d]", (int)len);
	if (sa->ss_family != AF_INET && sa->ss_family != AF_INET6)
		return put(" [family %d len %d]", sa->ss_family, (int)len);
	if (len < (sa->ss_family == AF_INET ? sizeof(*in) : sizeof(*in6)))
		return put(" [family %d short %d]", sa->ss_family, (int)len);
	inet_ntop(sa->ss_family, sa->ss_family == AF_INET ? (const void *)&in->sin_addr : &in6->sin6_addr, text, sizeof(text));
	port = ntohs(in->sin_port); /* at the same place in both */
	if (port >= port_of(0) && port < port_of(PORTS_OF_SEED))
		put(" [%s]:P%u len %d", text, port - port_of(0), (int)len);
	else if (!port)
		put(" [%s]:0 len %d", text, (int)len);
	else
		put(" [%s]:%c%u len %d", text, kind == KIND_UDP ? 'u' : 't', port_name(kind, (uint16_t)port, &known), (int)len);
}

void publish(unsigned slot, bool chosen)
{
	struct place *p = &board->places[me][slot];
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	unsigned port;
	bool known;

	if (getsockname(slots[slot].fd, (struct sockaddr *)&sa, &len))
		return;
	port = ntohs(((struct sockaddr_in *)&sa)->sin_port);
	*p = (struct place){ .kind = slots[slot].kind, .addr = sa, .len = len };
	if (chosen && port && !slots[slot].named) {
		port_name(p->kind, (uint16_t)port, &known);
		board->twice |= known;
	}
	slots[slot].named = true;
}

/* The line of the transcript that is followed; NULL: is at an end, or none is */
static const char *expected(void)
{
	return follow_dir && board->lines < ref_cnt ? ref_lines[board->lines] : NULL;
}

/* What has been put is a line of the transcript. */
static void line_end(void)
{
	const char *want = expected();

	if (!board->differs) {
		if (follow_dir && (!want || strcmp(want, line) != 0))
			board->differs = true;
		line[line_len++] = '\n';
		must(write(out_fd, line, line_len) == (ssize_t)line_len, "transcript");
		board->lines++;
	}
	line_len = 0;
	line[0] = 0;
}

/* ---- at rest ---------------------------------------------------------------------------------------------------- */

/* tcpi_state, as /proc/net/tcp has it; -1: not told */
static int tcp_state(int fd)
{
	uint8_t state;
	socklen_t len = sizeof(state);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &len) ? -1 : state;
}

/* How the sockets of this side stand; the line is left as it was */
static void look(char *ret_text)
{
	struct pollfd p[SLOTS];
	int r, bytes;

	for (unsigned i = 0; i < SLOTS; i++)
		p[i] = (struct pollfd){ .fd = slots[i].kind ? slots[i].fd : -1, .events = POLLIN | POLLPRI | POLLOUT | POLLRDHUP };
	must(poll(p, SLOTS, 0) >= 0, "poll");
	line_len = 0;
	board->udp_unread[me] = false;
	put("    %c stands", "AB"[me]);
	for (unsigned i = 0; i < SLOTS; i++) {
		if (!slots[i].kind || slots[i].kind == KIND_FILE)
			continue;
		put(" %u:", i);
		put_bits((uint32_t)p[i].revents);
		if (!(slots[i].kind & KIND_SOCK))
			continue;
		board->udp_unread[me] |= slots[i].kind == KIND_UDP && (p[i].revents & POLLIN);
		bytes = -1;
		r = ioctl(slots[i].fd, FIONREAD, &bytes);
		put(r ? "/%s" : "/%.0s%d", r ? strerrorname_np(errno) : "", bytes);
		bytes = -1;
		if (slots[i].kind == KIND_TCP && !ioctl(slots[i].fd, SIOCOUTQ, &bytes) && !(p[i].revents & (POLLERR | POLLHUP)))
			put("/%d", bytes);
		if (slots[i].kind == KIND_TCP && !slots[i].copied) /* a copy outside of channels has none */
			put("/s%d", tcp_state(slots[i].fd));
	}
	strcpy(ret_text, line);
	line_len = 0;
	line[0] = 0;
}

/* Packets that were on their way when this was called have been handled, and those that they set off. */
static void packets_handled(void)
{
	enum { ROUNDS = 6 };
	static int fd = -1;
	char byte = 0;

	if (fd < 0) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(in);
		int low = socket(AF_INET, SOCK_DGRAM, 0);

		fd = fcntl(low, F_DUPFD_CLOEXEC, OWN_FD);
		close(low);
		must(fd >= 0 && !bind(fd, (struct sockaddr *)&in, len) && !getsockname(fd, (struct sockaddr *)&in, &len) &&
			     !connect(fd, (struct sockaddr *)&in, len), "own socket");
	}
	for (int i = 0; i < ROUNDS; i++)
		must(send(fd, &byte, 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1, "own datagram");
}

/* Whatever this side has sent is acknowledged, its FIN included. */
static bool is_acknowledged(void)
{
	int bytes;

	for (unsigned i = 0; i < SLOTS; i++)
		if (slots[i].kind == KIND_TCP && tcp_state(slots[i].fd) != TCP_CLOSE && !ioctl(slots[i].fd, SIOCOUTQ, &bytes) && bytes)
			return false;
	return true;
}

static void rest_on_kernel(char *ret_text)
{
	uint64_t end_ms = now_ms() + REST_S * 1000;

	packets_handled();
	for (unsigned looks = 0; !is_acknowledged() && (now_ms() < end_ms || looks < REST_S * LOOKS_PER_S); looks++)
		nap();
	packets_handled();
	look(ret_text);
}

/* Until the sockets stand as the transcript says that they will. Time in which the whole machine stood still is none: looks count, too. */
static void rest_as_told(char *ret_text)
{
	uint64_t end_ms = now_ms() + wait_s * 1000, left = wait_s * LOOKS_PER_S;
	const char *want = expected();
	char mine[32];

	snprintf(mine, sizeof(mine), "    %c stands", "AB"[me]);
	if (!want || strncmp(want, mine, strlen(mine)) != 0)
		want = stood; /* no change is told */
	for (;;) {
		look(ret_text);
		if (!strcmp(ret_text, want) || (now_ms() >= end_ms && !left))
			return;
		left -= left > 0;
		nap();
	}
}

static void rest(void)
{
	char text[sizeof(line)];

	if (board->differs)
		return;
	if (board->given && board->given != 1 + me) {
		take_given();
		line_end();
	}
	if (follow_dir)
		rest_as_told(text);
	else
		rest_on_kernel(text);
	if (strcmp(text, stood) != 0) {
		strcpy(stood, text);
		put("%s", text);
		line_end();
	}
}

/* ---- turns ------------------------------------------------------------------------------------------------------ */

static void turn_give(void)
{
	char byte = 0;

	must(write(turn_out, &byte, 1) == 1, "giving the turn");
	have_turn = false;
}

static void turn_need(void)
{
	char byte;
	ssize_t r;

	if (have_turn)
		return;
	r = read(turn_in, &byte, 1);
	if (r == 0) /* the other side has ended early, and has said why */
		exit(1);
	must(r == 1, "the turn");
	have_turn = true;
}

/* ---- steps ------------------------------------------------------------------------------------------------------ */

int slot_free(unsigned from)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (!slots[(from + i) % SLOTS].kind)
			return (int)((from + i) % SLOTS);
	return -1;
}

void slot_clear(unsigned slot)
{
	slots[slot] = (struct slot){ .fd = -1 };
	board->places[me][slot] = (struct place){ 0 };
}

static bool is_liked(const struct slot *s, enum liking likes)
{
	return likes == LIKES_ALL || s->listens == (likes == LIKES_LISTENING);
}

/* One that the call is drawn for; from the drawn number on */
static int slot_of(const struct call *c, uint32_t word)
{
	for (unsigned i = 0; i < 2 * SLOTS; i++) {
		const struct slot *s = &slots[(word + i) % SLOTS];

		if ((s->kind & c->kinds) && (i >= SLOTS || word / 256 % 8 == 0 || is_liked(s, c->likes)))
			return (int)((word + i) % SLOTS);
	}
	return -1;
}

static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

static struct step step_of(unsigned nr)
{
	struct step st;

	if (opening(seed, nr, &st))
		return st;
	for (unsigned i = 0; i < WORDS; i++)
		st.w[i] = (uint32_t)mix(mix(seed) + nr * 64 + i);
	st.side = (int)(mix(mix(seed) + nr * 64 + 62) % 2);
	st.call = call_drawn((uint32_t)mix(mix(seed) + nr * 64 + 63));
	return st;
}

static void step_make(unsigned nr, const struct step *st)
{
	const struct call *c = &calls[st->call];
	int slot = c->kinds ? slot_of(c, st->w[0]) : -1;

	if (board->differs || (c->kinds && slot < 0))
		return;
	put("%u %c %s", nr, "AB"[me], c->name);
	if (slot >= 0)
		put(" %u", (unsigned)slot);
	c->run(st, slot);
	line_end();
}

static bool is_dropped(unsigned nr, char **dropped)
{
	for (; *dropped; dropped++)
		if ((unsigned)atoi(*dropped) == nr)
			return true;
	return false;
}

/* Both sides are here at the beginning and at the end of each step. */
static void step_play(unsigned nr)
{
	struct step st = step_of(nr);

	alarm(STEP_S);
	if (st.side != me && have_turn)
		turn_give();
	turn_need();
	if (st.side == me) {
		step_make(nr, &st);
		rest();
		turn_give();
		turn_need();
	} else {
		rest();
		turn_give();
	}
}

/* ---- seeds ------------------------------------------------------------------------------------------------------ */

static void follow_load(void)
{
	char path[4096];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%llu", follow_dir, (unsigned long long)seed);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	must(fd >= 0 && !fstat(fd, &st), path);
	free(ref);
	ref = calloc(1, (size_t)st.st_size + 1);
	must(ref && read(fd, ref, (size_t)st.st_size) == st.st_size, path);
	close(fd);
	ref_cnt = 0;
	for (char *at = strtok(ref, "\n"); at && ref_cnt < COUNT(ref_lines); at = strtok(NULL, "\n"))
		ref_lines[ref_cnt++] = at;
}

static void seed_begin(const char *dir)
{
	char path[4096];
	int fd;

	if (follow_dir)
		follow_load();
	snprintf(path, sizeof(path), "%s/%llu", dir, (unsigned long long)seed);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	must(fd >= 0, path);
	out_fd = fcntl(fd, F_DUPFD_CLOEXEC, OWN_FD);
	close(fd);
	for (unsigned i = 0; i < SLOTS; i++)
		slots[i] = (struct slot){ .fd = -1 };
	stood[0] = 0;
	look(stood);
}

/* @steps: at most; side A has the turn when it begins and when it is over. */
static void seed_play(const char *dir, unsigned steps, char **dropped)
{
	seed_begin(dir);
	if (me == 0) {
		turn_need();
		memset(&board->lines, 0, sizeof(*board) - offsetof(struct board, lines));
	}
	for (unsigned i = 0; i < steps; i++)
		if (!is_dropped(i, dropped))
			step_play(i);
	alarm(STEP_S);
	/* who has the turn gives it, until both have closed theirs */
	if (me == 1) {
		turn_need();
		for (unsigned i = 0; i < SLOTS; i++)
			if (slots[i].kind)
				close(slots[i].fd);
		turn_give();
	} else {
		if (have_turn)
			turn_give();
		turn_need();
		for (unsigned i = 0; i < SLOTS; i++)
			if (slots[i].kind)
				close(slots[i].fd);
		if (board->twice)
			must(write(out_fd, "void: a port twice\n", 19) == 19, "transcript");
	}
	close(out_fd);
}

static void on_sigpipe(int sig)
{
	(void)sig;
	sigpipes = 1;
}

/* Out of the way of the numbers that the calls are about */
static int own_fd(const char *arg)
{
	int fd = fcntl(atoi(arg), F_DUPFD_CLOEXEC, OWN_FD);

	must(fd >= 0, "descriptor");
	close(atoi(arg));
	return fd;
}

static void pin(void)
{
	cpu_set_t all, one;

	CPU_ZERO(&one);
	must(!sched_getaffinity(0, sizeof(all), &all), "processors");
	for (size_t i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	must(!sched_setaffinity(0, sizeof(one), &one), "processor");
}

int main(int argc, char **argv)
{
	int fd;

	must(argc >= 12, "usage");
	me = atoi(argv[1]);
	fd = open(argv[2], O_RDWR | O_CLOEXEC);
	board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(board != MAP_FAILED, argv[2]);
	close(fd);
	turn_in = own_fd(argv[3]);
	turn_out = own_fd(argv[4]);
	hand_over = own_fd(argv[5]);
	follow_dir = strcmp(argv[7], "-") != 0 ? argv[7] : NULL;
	wait_s = strtoull(argv[11], NULL, 0);
	signal(SIGPIPE, on_sigpipe);
	if (!follow_dir)
		pin();
	have_turn = me == 0;
	for (seed = strtoull(argv[8], NULL, 0); seed <= strtoull(argv[9], NULL, 0); seed++)
		seed_play(argv[6], (unsigned)atoi(argv[10]), argv + 12);
	return 0;
}
