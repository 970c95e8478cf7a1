// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/spill.h"

#include "base/time.h"
#include "daemon/netns.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define PAUSE_MIN_NS (1 * NS_PER_MS)
#define PAUSE_MAX_NS (16 * NS_PER_MS) /* of one that has stopped */
#define LOST_NS (50 * NS_PER_MS)      /* given back and not arrived for so long: the device's queue was full */

enum {
	SOCKET_BYTES = 16 << 20,
	FRAME_BYTES_MAX = 9216 + 64,
	READS_MAX = 1024,
	UNDER_WAY_MAX = 64, /* a veth device queues 256, and frames from the wire go the same way */
	GIVE_MAX = 1024,    /* in one run: others wait for vjd too */
};

struct held {
	STAILQ_ENTRY(held) entry;
	uint32_t len;
	uint8_t data[];
};

STAILQ_HEAD(held_list, held);

struct spill {
	const struct if_chan_maps *maps;
	int rx_fd, tx_fd;
	uint32_t host_ifindex;
	struct held_list held;
	uint64_t held_cnt, held_bytes, lost;
	uint32_t taken;	     /* frames spilled, as deliver counts them */
	uint32_t under_way;  /* given back, not yet seen to have arrived */
	uint32_t returned;   /* deliver's count when last looked at */
	uint64_t progress_ns; /* when it last grew */
	uint64_t pause_ns, next_ns;
};

/* ---- sockets */

struct listen_arg {
	uint32_t ifindex;
	int fd;
};

/* Bound first to nothing, so that there is no moment in which it hears all devices. */
static int listen_there(void *arg)
{
	struct listen_arg *l = arg;
	struct sockaddr_ll name = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)l->ifindex,
	};
	int one = 1, room = SOCKET_BYTES, r;

	l->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0)
		return -errno;
	setsockopt(l->fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(l->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	if (bind(l->fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
		return 0;
	r = -errno;
	close(l->fd);
	return r;
}

static bool read_state(const struct spill *s, struct policy_deliver_state *ret)
{
	uint32_t zero = 0;

	return bpf_map_lookup_elem(s->maps->deliver_state, &zero, ret) == 0;
}

/* Has deliver not heard yet that all is given back, or lost? */
static bool is_owed_end(const struct policy_deliver_state *state)
{
	return state->sticky != 0 || state->spilled != state->returned;
}

int spill_new(int netns_fd, uint32_t app_ifindex, uint32_t host_ifindex, const struct if_chan_maps *maps,
	      struct spill **ret_spill)
{
	struct listen_arg l = { .ifindex = app_ifindex };
	struct spill *s = calloc(1, sizeof(*s));
	struct policy_deliver_state state;
	int r;

	if (s == NULL)
		return -ENOMEM;
	s->maps = maps;
	s->host_ifindex = host_ifindex;
	s->pause_ns = PAUSE_MIN_NS;
	s->next_ns = TIME_NEVER;
	STAILQ_INIT(&s->held);
	/* protocol 0: it only sends */
	s->tx_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	r = s->tx_fd < 0 ? -errno : netns_do(netns_fd, listen_there, &l);
	if (r < 0) {
		if (s->tx_fd >= 0)
			close(s->tx_fd);
		free(s);
		return r;
	}
	s->rx_fd = l.fd;
	/* what an earlier vjd held is lost; the end of it has to be said */
	if (read_state(s, &state)) {
		s->taken = state.spilled;
		s->returned = state.returned;
		s->next_ns = is_owed_end(&state) ? 0 : TIME_NEVER;
	}
	*ret_spill = s;
	return 0;
}

void spill_free(struct spill *s)
{
	struct held *h;

	if (s == NULL)
		return;
	while ((h = STAILQ_FIRST(&s->held)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->held, entry);
		free(h);
	}
	close(s->rx_fd);
	close(s->tx_fd);
	free(s);
}

int spill_fd(const struct spill *s)
{
	return s->rx_fd;
}

uint64_t spill_deadline_ns(const struct spill *s)
{
	return s->next_ns;
}

void spill_stats(const struct spill *s, struct spill_stats *ret_stats)
{
	*ret_stats = (struct spill_stats){ .held = s->held_cnt, .held_bytes = s->held_bytes, .lost = s->lost };
}

/* ---- taking */

static void hold(struct spill *s, const uint8_t *data, uint32_t len, bool first)
{
	struct held *h = malloc(sizeof(*h) + len);

	if (h == NULL) {
		s->lost++;
		return;
	}
	h->len = len;
	memcpy(h->data, data, len);
	if (first)
		STAILQ_INSERT_HEAD(&s->held, h, entry);
	else
		STAILQ_INSERT_TAIL(&s->held, h, entry);
	s->held_cnt++;
	s->held_bytes += len;
}

static void take(struct spill *s, const uint8_t *data, uint32_t len)
{
	bool refused = len > POLICY_GIVE_BACK_BYTES && load_be16(data + 12) == POLICY_GIVE_BACK_TYPE;

	if (len < ETH_HLEN)
		return;
	if (refused) {
		s->under_way -= s->under_way > 0;
		hold(s, data + POLICY_GIVE_BACK_BYTES, len - POLICY_GIVE_BACK_BYTES, true);
		return;
	}
	s->taken++;
	hold(s, data, len, false);
}

/* Frames that found no room in the socket count as taken, or deliver would wait for them for ever. */
static void count_lost(struct spill *s)
{
	struct tpacket_stats st;
	socklen_t bytes = sizeof(st);

	if (getsockopt(s->rx_fd, SOL_PACKET, PACKET_STATISTICS, &st, &bytes) != 0)
		return;
	s->taken += st.tp_drops;
	s->lost += st.tp_drops;
}

static void take_all(struct spill *s)
{
	uint8_t data[FRAME_BYTES_MAX];
	unsigned cnt = 0;

	while (cnt < READS_MAX) {
		ssize_t n = recv(s->rx_fd, data, sizeof(data), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0)
			break;
		cnt++;
		if (n <= (ssize_t)sizeof(data))
			take(s, data, (uint32_t)n);
		else
			s->lost++;
	}
	if (cnt > 0)
		count_lost(s);
}

/* ---- giving back */

/* @data: behind the outer header */
static int send_back(const struct spill *s, const void *data, size_t len)
{
	uint8_t outer[POLICY_GIVE_BACK_BYTES] = { [12] = POLICY_GIVE_BACK_TYPE >> 8, [13] = POLICY_GIVE_BACK_TYPE & 0xff };
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(POLICY_GIVE_BACK_TYPE),
		.sll_ifindex = (int)s->host_ifindex,
		.sll_halen = 6,
	};
	struct iovec iov[2] = {
		{ .iov_base = outer, .iov_len = sizeof(outer) },
		{ .iov_base = (void *)(uintptr_t)data, .iov_len = len },
	};
	struct msghdr msg = { .msg_name = &to, .msg_namelen = sizeof(to), .msg_iov = iov, .msg_iovlen = 2 };

	return sendmsg(s->tx_fd, &msg, MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* What has arrived meanwhile; and what never will. */
static void look_after(struct spill *s, const struct policy_deliver_state *state, uint64_t now_ns)
{
	uint32_t arrived = state->returned - s->returned;

	s->returned = state->returned;
	if (arrived > 0 || s->under_way == 0)
		s->progress_ns = now_ns;
	s->under_way -= min_u32(arrived, s->under_way);
	if (s->under_way > 0 && now_ns - s->progress_ns >= LOST_NS) {
		s->lost += s->under_way;
		s->under_way = 0;
	}
}

static uint32_t room(const struct spill *s, const struct policy_deliver_state *state)
{
	struct policy_credit credit;
	uint32_t zero = 0, frames;

	if (bpf_map_lookup_elem(s->maps->credit, &zero, &credit) != 0)
		return 0;
	frames = credit.posted - state->given;
	/* fewer made free than given: a lie, or deliver is just at it */
	if (frames > INT32_MAX)
		frames = 0;
	frames = frames > s->under_way ? frames - s->under_way : 0;
	return min_u32(frames, UNDER_WAY_MAX - s->under_way);
}

/* Return: frames given back */
static uint32_t give_some(struct spill *s, uint32_t cnt)
{
	struct held *h;
	uint32_t given = 0;

	while (given < cnt && (h = STAILQ_FIRST(&s->held)) != NULL) {
		if (send_back(s, h->data, h->len) < 0)
			break;
		STAILQ_REMOVE_HEAD(&s->held, entry);
		s->held_cnt--;
		s->held_bytes -= h->len;
		free(h);
		given++;
	}
	s->under_way += given;
	return given;
}

/*
 * What is sent into the device has nearly always arrived when the call returns; so as long as it does, the next ones follow at
 * once. Return: did anything go forward?
 */
static bool give_all(struct spill *s, struct policy_deliver_state *state, uint64_t now_ns)
{
	uint32_t given = 0, some;

	do {
		some = give_some(s, room(s, state));
		given += some;
		if (some == 0 || !read_state(s, state))
			break;
		look_after(s, state, now_ns);
	} while (given < GIVE_MAX);
	return given > 0 || s->under_way > 0;
}

void spill_run(struct spill *s, uint64_t now_ns)
{
	struct policy_deliver_state state;
	bool progress;

	take_all(s);
	if (!read_state(s, &state)) {
		s->next_ns = TIME_NEVER;
		return;
	}
	look_after(s, &state, now_ns);
	progress = give_all(s, &state, now_ns);
	if (s->held_cnt == 0 && s->under_way == 0 && is_owed_end(&state)) {
		/* all of it has arrived: say so. Ignored there if more has come meanwhile, and then it is said once more. */
		send_back(s, &s->taken, sizeof(s->taken));
		read_state(s, &state);
	}
	if (s->held_cnt == 0 && s->under_way == 0 && !is_owed_end(&state)) {
		s->next_ns = TIME_NEVER;
		s->pause_ns = PAUSE_MIN_NS;
		return;
	}
	s->pause_ns = progress ? PAUSE_MIN_NS : min_u64(2 * s->pause_ns, PAUSE_MAX_NS);
	s->next_ns = now_ns + (progress && room(s, &state) > 0 ? 0 : s->pause_ns);
}
