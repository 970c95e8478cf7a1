/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An application of the library and a peer that keeps none of the rules: it says that the channel is closed and goes on
 * sending, writes nonsense into the rings, rings the doorbell of a channel that is no more. The application must be rid of
 * the channel within moments, and sleep. And one that keeps them, and has more frames to send in when it sends much.
 */
#include "vjd_proc.h"

#include "channel/area.h"
#include "channel/area_map.h"
#include "lib/move.h"
#include "wire/eth.h"

#include <vj/vj.h>

#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct hostile {
	struct vjd_proc v;
	struct vj *app; /* the one to be protected */
	struct vj_listener listener;
	struct ctl_client *ctl; /* the hostile one's */
	struct ctl_channel said;
	int fds[CTL_FDS_MAX];
	struct area_mapping map;
	struct vj_channel *ch;
	pthread_t thread;
	_Atomic bool stop;
	_Atomic uint64_t sent;
};

static uint64_t channels(const struct hostile *h)
{
	struct vj_stats st = { .sz = sizeof(st) };

	assert_int_equal(vj_stats(h->app, &st), 0);
	return st.channels;
}

static void pump_until(struct hostile *h, uint64_t cnt)
{
	uint64_t end_ms = now_ms() + 20000;

	while (channels(h) != cnt) {
		vj_process(h->app);
		assert_true(now_ms() < end_ms);
	}
}

/* A channel from a program called @name */
static void join(struct hostile *h, const char *name)
{
	struct vj_channel_options ch = VJ_CHANNEL_OPTIONS_INIT;
	struct sockaddr_storage at;
	struct ctl_endpoint ep = { .proto = CTL_PROTO_TCP };
	uint64_t before = channels(h);

	vj_listener_addr(h->app, h->listener, &at);
	h->ctl = client_open(&h->v, name);
	ep = endpoint_of("127.0.0.1:1", CTL_PROTO_TCP);
	ep.port = ntohs(((struct sockaddr_in *)&at)->sin_port);
	assert_int_equal(ctl_client_connect(h->ctl, &ep, &h->said, h->fds), 0);
	assert_int_equal(area_map(h->fds[CTL_FD_AREA], &h->said.params, &h->map), 0);
	ch.area = h->map.mem;
	ch.area_bytes = h->map.bytes;
	ch.params = h->said.params;
	ch.end = h->said.end;
	ch.wake_fd = h->fds[CTL_FD_WAKE_PEER];
	assert_int_equal(vj_channel_attach(&ch, &h->ch), 0);
	pump_until(h, before + 1);
}

static void begin(struct hostile *h)
{
	struct vj_options o = VJ_OPTIONS_INIT;
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	memset(h, 0, sizeof(*h));
	vjd_start(&h->v, "");
	o.socket_path = h->v.path;
	assert_int_equal(vj_open(&o, &h->app), 0);
	assert_int_equal(vj_listen(h->app, (struct sockaddr *)&any, sizeof(any), 16, 0, -1, 0, &h->listener), 0);
	join(h, "hostile");
}

static void leave(struct hostile *h)
{
	vj_channel_detach(h->ch);
	area_unmap(&h->map);
	fds_close(h->fds, CTL_FDS_MAX);
	ctl_client_close(h->ctl);
}

static void end(struct hostile *h)
{
	leave(h);
	vj_close(h->app);
	vjd_stop(&h->v);
}

/* Frames of nothing, as fast as they go */
static void *flood(void *arg)
{
	struct hostile *h = arg;
	struct vj_buf bufs[64];

	while (!atomic_load(&h->stop)) {
		unsigned n = vj_channel_tx_get(h->ch, bufs, 64);

		for (unsigned i = 0; i < n; i++)
			bufs[i].len = 60;
		vj_channel_tx_put(h->ch, bufs, n);
		vj_channel_tx_publish(h->ch);
		atomic_fetch_add(&h->sent, n);
	}
	return NULL;
}

/* The application sleeps although the bell is rung. */
static void is_quiet(struct hostile *h)
{
	struct pollfd bell = { .fd = vj_fd(h->app), .events = POLLIN };
	int64_t timeout_ns;

	for (int i = 0; i < 3; i++)
		vj_process(h->app);
	while (!vj_arm(h->app, &timeout_ns))
		vj_process(h->app);
	assert_int_equal(eventfd_write(h->fds[CTL_FD_WAKE_PEER], 1), 0);
	assert_int_equal(poll(&bell, 1, 50), 0);
	vj_disarm(h->app);
}

/* What was sent before the end still counts, so it is read; but who never stops is not read for ever. */
static void closed_and_goes_on_sending(void **state)
{
	struct hostile h;

	(void)state;
	begin(&h);
	assert_int_equal(pthread_create(&h.thread, NULL, flood, &h), 0);
	for (uint64_t until_ms = now_ms() + 50; now_ms() < until_ms || atomic_load(&h.sent) <= 1000;)
		vj_process(h.app);
	assert_int_equal(ctl_client_channel_close(h.ctl, h.said.id, VJ_CHANNEL_ERR_CLOSED), 0);
	pump_until(&h, 0);
	is_quiet(&h);
	atomic_store(&h.stop, true);
	pthread_join(h.thread, NULL);
	end(&h);
}

/* An index that cannot be: the channel is closed with a reason, vjd is told, and the bell has no one left to wake. */
static void nonsense_in_a_ring(void **state)
{
	struct vj_stats st = { .sz = sizeof(st) };
	struct area_layout layout;
	struct hostile h;

	(void)state;
	begin(&h);
	area_layout(&h.said.params, &layout);
	for (uint32_t i = 0; i < 64; i += 4) /* all of the line: whichever word is the producer's */
		memset((uint8_t *)h.map.mem + layout.data_ring[1 - h.said.end] + i, 0x77, 4);
	pump_until(&h, 0);
	assert_int_equal(vj_stats(h.app, &st), 0);
	assert_int_equal(st.channels_closed, 1);
	is_quiet(&h);
	assert_int_equal(event_wait(h.ctl, CTL_PEER_GONE).close.channel_id, h.said.id);
	end(&h);
}

/* All frames that the peer has, with @len bytes of nothing in each. Return: how many different ones it has had so far */
static unsigned send_all(struct hostile *h, uint32_t len, bool *seen)
{
	struct vj_buf bufs[64];
	unsigned n, cnt = 0;

	while ((n = vj_channel_tx_get(h->ch, bufs, 64)) > 0) {
		for (unsigned i = 0; i < n; i++) {
			bufs[i].len = len;
			seen[bufs[i].addr / h->said.params.frame_bytes] = true;
		}
		vj_channel_tx_put(h->ch, bufs, n);
	}
	vj_channel_tx_publish(h->ch);
	for (uint32_t i = 0; i < h->said.params.frame_cnt; i++)
		cnt += seen[i];
	return cnt;
}

/* However many small messages come, 256 frames go round; with much data all that the channel may have. */
static void much_data_brings_more_frames(void **state)
{
	bool seen[1024] = { false };
	struct hostile h;
	unsigned cnt = 0;

	(void)state;
	begin(&h);
	assert_int_equal(h.said.params.frame_cnt, ARRAY_SIZE(seen));
	for (int i = 0; i < 2000 && cnt < ARRAY_SIZE(seen); i++) {
		cnt = send_all(&h, i < 50 ? 60 : 3500, seen);
		if (i < 50)
			assert_int_equal(cnt, AREA_START_FRAMES);
		for (int turn = 0; turn < 20; turn++)
			vj_process(h.app);
		usleep(2000); /* longer than from one look to the next */
	}
	assert_int_equal(cnt, ARRAY_SIZE(seen));
	assert_int_equal(channels(&h), 1);
	end(&h);
}

/* That a connection has arrived of which the application knows nothing, in up to @cnt frames. Return: frames */
static unsigned say_arrived(struct hostile *h, unsigned cnt)
{
	const struct move_frame f = { .magic = MOVE_MAGIC, .kind = MOVE_ARRIVED };
	struct vj_buf bufs[64];
	unsigned n = vj_channel_tx_get(h->ch, bufs, cnt < ARRAY_SIZE(bufs) ? cnt : ARRAY_SIZE(bufs));

	for (unsigned i = 0; i < n; i++) {
		memcpy(bufs[i].data, h->said.peer_mac, 6);
		memcpy(bufs[i].data + 6, ctl_client_welcome(h->ctl)->mac, 6);
		store_be16(bufs[i].data + 12, ETH_TYPE_LINK);
		memcpy(bufs[i].data + ETH_HDR_BYTES, &f, sizeof(f));
		bufs[i].len = ETH_HDR_BYTES + sizeof(f);
	}
	vj_channel_tx_put(h->ch, bufs, n);
	vj_channel_tx_publish(h->ch);
	return n;
}

static bool hears(struct hostile *h, uint32_t kind)
{
	struct move_frame f = { .kind = 0 };
	struct vj_buf buf;

	if (!vj_channel_rx(h->ch, &buf, 1))
		return false;
	memcpy(&f, buf.data + ETH_HDR_BYTES, sizeof(f));
	vj_channel_rx_free(h->ch, &buf, 1);
	return f.kind == kind;
}

/* Who asks without end and takes no answer costs a bounded amount of memory, and others are answered. */
static void asks_and_takes_no_answer(void **state)
{
	enum { ASKED = 100000, BYTES_MAX = 4 << 20 };
	struct hostile h, other;
	size_t before;
	unsigned sent = 0;
	uint64_t end_ms;

	(void)state;
	begin(&h);
	other = h;
	join(&other, "other");
	before = mallinfo2().uordblks;
	while (sent < ASKED) {
		sent += say_arrived(&h, ASKED - sent);
		vj_process(h.app);
	}
	assert_true(mallinfo2().uordblks < before + BYTES_MAX);
	assert_int_equal(say_arrived(&other, 1), 1);
	end_ms = now_ms() + 20000;
	while (!hears(&other, MOVE_GONE)) {
		vj_process(h.app);
		assert_true(now_ms() < end_ms);
	}
	assert_true(hears(&h, MOVE_GONE)); /* what there were frames for */
	assert_int_equal(channels(&h), 2);
	leave(&other);
	end(&h);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(closed_and_goes_on_sending),
		cmocka_unit_test(nonsense_in_a_ring),
		cmocka_unit_test(much_data_brings_more_frames),
		cmocka_unit_test(asks_and_takes_no_answer),
	};

	vjd_test_init(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
