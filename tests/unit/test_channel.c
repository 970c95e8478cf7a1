// SPDX-License-Identifier: BSD-2-Clause
/* What two honest ends of a channel see of each other. */
#include "tests/unit/channel_test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/area_map.h"
#include "channel/attach.h"
#include "channel/bell.h"
#include "channel/sys.h"

static const struct vj_area_params small = SMALL_PARAMS;

static void frame_fill(struct vj_buf *buf, uint32_t seq, uint32_t len)
{
	buf->len = len;
	memset(buf->data, (int)(seq & 0xff), len);
	memcpy(buf->data, &seq, sizeof(seq));
}

static void frame_expect(const struct vj_buf *buf, uint32_t seq, uint32_t len)
{
	uint32_t got;

	memcpy(&got, buf->data, sizeof(got));
	assert_int_equal(got, seq);
	assert_int_equal(buf->len, len);
	for (uint32_t i = sizeof(seq); i < len; i++)
		assert_int_equal(buf->data[i], seq & 0xff);
}

static unsigned int send_frames(struct vj_channel *ch, uint32_t seq, unsigned int n, uint32_t len)
{
	struct vj_buf bufs[64];

	n = vj_channel_tx_get(ch, bufs, n);
	for (unsigned int i = 0; i < n; i++)
		frame_fill(&bufs[i], seq + i, len);
	vj_channel_tx_put(ch, bufs, n);
	vj_channel_tx_publish(ch);
	return n;
}

static unsigned int receive_frames(struct vj_channel *ch, uint32_t seq, unsigned int n,
				   uint32_t len)
{
	struct vj_buf bufs[64];

	unsigned int got = 0, more;

	/* One call may give less than there is: it looks at the shared index only when it knows of nothing. */
	while ((more = vj_channel_rx(ch, bufs + got, n - got)) > 0)
		got += more;
	for (unsigned int i = 0; i < got; i++)
		frame_expect(&bufs[i], seq + i, len);
	vj_channel_rx_free(ch, bufs, got);
	return got;
}

static void test_params(void **state)
{
	static const struct {
		struct vj_area_params params;
		int want;
	} cases[] = {
		{ VJ_AREA_PARAMS_DEFAULT, 0 },	       { { 2048, 2, 2 }, 0 },
		{ { 65536, 65536, 65536 }, 0 },	       { { 2048, 8, 65536 }, 0 },
		{ { 1024, 8, 8 }, -EINVAL },	       { { 131072, 8, 8 }, -EINVAL },
		{ { 3000, 8, 8 }, -EINVAL },	       { { 0, 8, 8 }, -EINVAL },
		{ { 2048, 1, 8 }, -EINVAL },	       { { 2048, 0, 8 }, -EINVAL },
		{ { 2048, 6, 8 }, -EINVAL },	       { { 2048, 8, 4 }, -EINVAL },
		{ { 2048, 8, 12 }, -EINVAL },	       { { 2048, 8, 0 }, -EINVAL },
		{ { 2048, 131072, 131072 }, -EINVAL }, { { 2048, 8, UINT32_C(1) << 31 }, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(vj_area_params_check(&cases[i].params), cases[i].want);
}

/* The numbers of docs/shm-layout.md: who changes them changes what other implementations rely on. */
static void test_layout(void **state)
{
	const struct vj_area_params params = VJ_AREA_PARAMS_DEFAULT;
	const struct vj_area_params largest = { 65536, 65536, 65536 };
	struct area_layout l;

	(void)state;
	area_layout(&params, &l);
	assert_int_equal(l.data_ring[0], 4096);
	assert_int_equal(l.free_ring[0], 12288);
	assert_int_equal(l.data_ring[1], 16384);
	assert_int_equal(l.free_ring[1], 24576);
	assert_int_equal(l.pool[0], 28672);
	assert_int_equal(l.pool[1], 28672 + 256 * 4096);
	assert_int_equal(l.pool_bytes, 256 * 4096);
	assert_int_equal(l.bytes, 28672 + 2 * 256 * 4096);
	assert_int_equal(vj_area_bytes(&params), l.bytes);

	area_layout(&largest, &l);
	assert_true(l.bytes > UINT64_C(8) << 30);
	assert_int_equal(l.pool[1] - l.pool[0], UINT64_C(4) << 30);
}

static void test_attach_refuses(void **state)
{
	struct vj_channel_options good = VJ_CHANNEL_OPTIONS_INIT, opts;
	struct vj_channel *ch = NULL;
	struct channel_pair pair;

	(void)state;
	pair_open(&pair, small, 0);
	good.area = pair.area;
	good.area_bytes = vj_area_bytes(&small);
	good.params = small;

	opts = good;
	opts.sz--;
	assert_int_equal(vj_channel_attach(&opts, &ch), -EINVAL);
	opts = good;
	opts.end = 2;
	assert_int_equal(vj_channel_attach(&opts, &ch), -EINVAL);
	opts = good;
	opts.area = NULL;
	assert_int_equal(vj_channel_attach(&opts, &ch), -EINVAL);
	opts = good;
	opts.area = pair.area + 64;
	assert_int_equal(vj_channel_attach(&opts, &ch), -EINVAL);
	opts = good;
	opts.area_bytes--;
	assert_int_equal(vj_channel_attach(&opts, &ch), -EINVAL);
	opts = good;
	opts.params.frame_cnt = 7;
	assert_int_equal(vj_channel_attach(&opts, &ch), -EINVAL);
	assert_null(ch);
	assert_int_equal(vj_area_init(pair.area + 64, &small), -EINVAL);
	vj_channel_detach(NULL);
	pair_close(&pair);
}

/* A side may send before the other has attached; frames then wait. */
static void test_send_before_peer(void **state)
{
	struct channel_pair pair;

	(void)state;
	pair_open(&pair, small, 0);
	vj_channel_detach(pair.ch[1]);
	assert_int_equal(send_frames(pair.ch[0], 7, 3, 100), 3);
	pair.ch[1] = pair_attach(&pair, 1, -1);
	assert_int_equal(receive_frames(pair.ch[1], 7, 8, 100), 3);
	pair_close(&pair);
}

/* Many times around both rings, in uneven batches, both ways at once, over the wrap of the indices. */
static void pass_many(uint32_t start_idx)
{
	uint32_t sent[2] = { 0, 0 }, received[2] = { 0, 0 };
	struct channel_pair pair;

	pair_open(&pair, small, start_idx);
	for (unsigned int round = 0; round < 2000; round++) {
		for (unsigned int end = 0; end < 2; end++) {
			sent[end] +=
				send_frames(pair.ch[end], sent[end], 1 + (round + end) % 9, 77);
			received[end] += receive_frames(pair.ch[end], received[end],
							1 + (round * 3 + end) % 7, 77);
		}
	}
	for (unsigned int end = 0; end < 2; end++) {
		struct vj_channel_stats stats;

		while (receive_frames(pair.ch[end], received[end], 1, 77) == 1)
			received[end]++;
		assert_int_equal(received[end], sent[!end]);
		assert_true(received[end] > 5000);
		assert_int_equal(vj_channel_error(pair.ch[end]), VJ_CHANNEL_ERR_NONE);
		vj_channel_stats(pair.ch[end], &stats);
		assert_int_equal(stats.tx_frames, sent[end]);
		assert_int_equal(stats.tx_bytes, sent[end] * UINT64_C(77));
		assert_int_equal(stats.rx_frames, received[end]);
		assert_int_equal(stats.rx_bytes, received[end] * UINT64_C(77));
		assert_int_equal(stats.wakes_sent, 0);
	}
	pair_close(&pair);
}

static void test_pass(void **state)
{
	(void)state;
	pass_many(0);
}

static void test_pass_index_wrap(void **state)
{
	(void)state;
	pass_many(UINT32_MAX - 1000);
	pass_many(UINT32_MAX);
	pass_many(UINT32_MAX - 3);
	pass_many(UINT32_C(1) << 31);
}

/* No free frame is back-pressure: nothing lost, and it goes on when the peer gives one back. */
static void test_no_frame(void **state)
{
	struct vj_channel_stats stats;
	struct vj_buf bufs[16];
	struct channel_pair pair;

	(void)state;
	pair_open(&pair, small, 0);
	assert_int_equal(send_frames(pair.ch[0], 0, 16, 64), 8);
	assert_false(vj_channel_tx_ready(pair.ch[0]));
	assert_int_equal(vj_channel_tx_get(pair.ch[0], bufs, 1), 0);
	vj_channel_stats(pair.ch[0], &stats);
	assert_int_equal(stats.tx_no_frame, 2);

	assert_int_equal(vj_channel_rx(pair.ch[1], bufs, 16), 8);
	assert_int_equal(vj_channel_rx_held(pair.ch[1]), 8);
	assert_false(vj_channel_rx_ready(pair.ch[1]));
	/* Given back in another order than received. */
	vj_channel_rx_free(pair.ch[1], &bufs[5], 1);
	assert_int_equal(vj_channel_rx_held(pair.ch[1]), 7);
	assert_true(vj_channel_tx_ready(pair.ch[0]));
	assert_int_equal(send_frames(pair.ch[0], 8, 16, 64), 1);
	vj_channel_rx_free(pair.ch[1], &bufs[6], 2);
	vj_channel_rx_free(pair.ch[1], &bufs[0], 5);
	assert_int_equal(vj_channel_rx_held(pair.ch[1]), 0);
	assert_int_equal(receive_frames(pair.ch[1], 8, 16, 64), 1);
	assert_int_equal(send_frames(pair.ch[0], 9, 16, 64), 8);
	pair_close(&pair);
}

static void test_publish_is_visible_only_then(void **state)
{
	struct channel_pair pair;
	struct vj_buf buf;

	(void)state;
	pair_open(&pair, small, 0);
	assert_int_equal(vj_channel_tx_get(pair.ch[0], &buf, 1), 1);
	frame_fill(&buf, 1, 60);
	vj_channel_tx_put(pair.ch[0], &buf, 1);
	assert_false(vj_channel_rx_ready(pair.ch[1]));
	vj_channel_tx_publish(pair.ch[0]);
	assert_true(vj_channel_rx_ready(pair.ch[1]));
	pair_close(&pair);
}

/* Data may start anywhere in the frame; and neighbours start at different lines, each with the promised room. */
static void test_buffers(void **state)
{
	struct vj_buf bufs[8], got[8];
	struct channel_pair pair;
	unsigned int lines_seen = 0;

	(void)state;
	pair_open(&pair, small, 0);
	assert_in_range(vj_channel_room(pair.ch[0]), 2048 - 512, 2048);
	assert_int_equal(vj_channel_tx_get(pair.ch[0], bufs, 8), 8);
	for (unsigned int i = 0; i < 8; i++) {
		assert_int_equal((uintptr_t)bufs[i].data % 64, 0);
		assert_true(bufs[i].room >= vj_channel_room(pair.ch[0]));
		assert_ptr_equal(bufs[i].data, pair.area + pair.layout.pool[1] + bufs[i].addr);
		lines_seen |= 1u << (uintptr_t)bufs[i].data / 64 % 8;
		bufs[i].data += i * 3;
		frame_fill(&bufs[i], i, bufs[i].room - i * 3);
	}
	assert_int_equal(lines_seen, 0xff);
	vj_channel_tx_put(pair.ch[0], bufs, 8);
	vj_channel_tx_publish(pair.ch[0]);
	assert_int_equal(vj_channel_rx(pair.ch[1], got, 8), 8);
	for (unsigned int i = 0; i < 8; i++) {
		frame_expect(&got[i], i, bufs[i].len);
		assert_ptr_equal(got[i].data, bufs[i].data);
		assert_int_equal(got[i].room, got[i].len);
	}
	vj_channel_rx_free(pair.ch[1], got, 8);
	pair_close(&pair);
}

static void test_unget(void **state)
{
	struct vj_buf bufs[8], again[8];
	struct channel_pair pair;

	(void)state;
	pair_open(&pair, small, 0);
	assert_int_equal(vj_channel_tx_get(pair.ch[0], bufs, 6), 6);
	vj_channel_tx_unget(pair.ch[0], &bufs[2], 3);
	assert_true(vj_channel_tx_ready(pair.ch[0]));
	/* Out again first and in their order, then new ones. */
	assert_int_equal(vj_channel_tx_get(pair.ch[0], again, 8), 5);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(again[i].addr, bufs[2 + i].addr);
	vj_channel_tx_unget(pair.ch[0], again, 5);
	vj_channel_tx_unget(pair.ch[0], bufs, 2);
	vj_channel_tx_unget(pair.ch[0], &bufs[5], 1);
	for (uint32_t round = 0; round < 100; round++) {
		assert_int_equal(send_frames(pair.ch[0], round, 8, 60), 8);
		assert_int_equal(receive_frames(pair.ch[1], round, 8, 60), 8);
	}
	pair_close(&pair);
}

static bool bell_rang(int fd)
{
	uint64_t cnt;

	return sys_read(fd, &cnt, sizeof(cnt)) == sizeof(cnt);
}

static void test_wake_rx(void **state)
{
	int bell = bell_new();
	struct vj_channel_stats stats;
	struct channel_pair pair;

	(void)state;
	assert_true(bell >= 0);
	pair_open(&pair, small, 0);
	vj_channel_detach(pair.ch[0]);
	pair.ch[0] = pair_attach(&pair, 0, bell);

	/* Awake: no ring. */
	send_frames(pair.ch[0], 0, 1, 60);
	assert_false(bell_rang(bell));
	/* There is work: not armed. */
	assert_false(vj_channel_arm(pair.ch[1], false));
	send_frames(pair.ch[0], 1, 1, 60);
	assert_false(bell_rang(bell));
	assert_int_equal(receive_frames(pair.ch[1], 0, 8, 60), 2);
	/* Asleep: one ring, however many bursts. */
	assert_true(vj_channel_arm(pair.ch[1], false));
	send_frames(pair.ch[0], 2, 1, 60);
	assert_true(bell_rang(bell));
	send_frames(pair.ch[0], 3, 1, 60);
	assert_false(bell_rang(bell));
	/* Withdrawn: none. */
	vj_channel_disarm(pair.ch[1]);
	assert_int_equal(receive_frames(pair.ch[1], 2, 8, 60), 2);
	assert_true(vj_channel_arm(pair.ch[1], false));
	vj_channel_disarm(pair.ch[1]);
	send_frames(pair.ch[0], 4, 1, 60);
	assert_false(bell_rang(bell));

	vj_channel_stats(pair.ch[0], &stats);
	assert_int_equal(stats.wakes_sent, 1);
	vj_channel_stats(pair.ch[1], &stats);
	assert_int_equal(stats.sleeps, 2);
	pair_close(&pair);
	sys_close(bell);
}

static void test_wake_tx(void **state)
{
	int bell = bell_new();
	struct channel_pair pair;
	struct vj_buf bufs[8];

	(void)state;
	pair_open(&pair, small, 0);
	vj_channel_detach(pair.ch[1]);
	pair.ch[1] = pair_attach(&pair, 1, bell);

	/* Frames to send in are work only for who wants them. */
	assert_false(vj_channel_arm(pair.ch[0], true));
	assert_true(vj_channel_arm(pair.ch[0], false));
	vj_channel_disarm(pair.ch[0]);
	assert_int_equal(send_frames(pair.ch[0], 0, 8, 60), 8);
	assert_int_equal(vj_channel_rx(pair.ch[1], bufs, 8), 8);

	assert_true(vj_channel_arm(pair.ch[0], false));
	vj_channel_rx_free(pair.ch[1], &bufs[0], 1);
	assert_false(bell_rang(bell));
	assert_false(vj_channel_arm(pair.ch[0], true));

	assert_int_equal(send_frames(pair.ch[0], 8, 8, 60), 1);
	assert_true(vj_channel_arm(pair.ch[0], true));
	vj_channel_rx_free(pair.ch[1], &bufs[1], 1);
	assert_true(bell_rang(bell));
	vj_channel_disarm(pair.ch[0]);

	/* A frame that was given back unused is one to send in. */
	assert_int_equal(vj_channel_tx_get(pair.ch[0], bufs, 8), 1);
	assert_true(vj_channel_arm(pair.ch[0], true));
	vj_channel_disarm(pair.ch[0]);
	vj_channel_tx_unget(pair.ch[0], bufs, 1);
	assert_false(vj_channel_arm(pair.ch[0], true));
	pair_close(&pair);
	sys_close(bell);
}

/* Our own mistakes are not the peer's: they stop the program. */
static void abort_expect(void (*mistake)(struct channel_pair *pair, struct vj_buf *buf))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct channel_pair pair;
		struct vj_buf buf;

		signal(SIGABRT, SIG_DFL);
		sys_close(STDERR_FILENO);
		pair_open(&pair, small, 0);
		send_frames(pair.ch[1], 0, 1, 60);
		mistake(&pair, &buf);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void mistake_free_twice(struct channel_pair *pair, struct vj_buf *buf)
{
	vj_channel_rx(pair->ch[0], buf, 1);
	vj_channel_rx_free(pair->ch[0], buf, 1);
	vj_channel_rx_free(pair->ch[0], buf, 1);
}

static void mistake_put_twice(struct channel_pair *pair, struct vj_buf *buf)
{
	vj_channel_tx_get(pair->ch[0], buf, 1);
	buf->len = 60;
	vj_channel_tx_put(pair->ch[0], buf, 1);
	vj_channel_tx_put(pair->ch[0], buf, 1);
}

static void mistake_unget_twice(struct channel_pair *pair, struct vj_buf *buf)
{
	vj_channel_tx_get(pair->ch[0], buf, 1);
	vj_channel_tx_unget(pair->ch[0], buf, 1);
	vj_channel_tx_unget(pair->ch[0], buf, 1);
}

static void mistake_too_long(struct channel_pair *pair, struct vj_buf *buf)
{
	vj_channel_tx_get(pair->ch[0], buf, 1);
	buf->len = buf->room + 1;
	vj_channel_tx_put(pair->ch[0], buf, 1);
}

static void mistake_empty(struct channel_pair *pair, struct vj_buf *buf)
{
	vj_channel_tx_get(pair->ch[0], buf, 1);
	vj_channel_tx_put(pair->ch[0], buf, 1);
}

static void mistake_data_before_frame(struct channel_pair *pair, struct vj_buf *buf)
{
	vj_channel_tx_get(pair->ch[0], buf, 1);
	buf->data -= 64;
	buf->len = 60;
	vj_channel_tx_put(pair->ch[0], buf, 1);
}

static void test_own_mistakes_abort(void **state)
{
	(void)state;
	abort_expect(mistake_free_twice);
	abort_expect(mistake_put_twice);
	abort_expect(mistake_unget_twice);
	abort_expect(mistake_too_long);
	abort_expect(mistake_empty);
	abort_expect(mistake_data_before_frame);
}

/* Areas as memory that is passed. */

static void test_area_map(void **state)
{
	const struct vj_area_params params = VJ_AREA_PARAMS_DEFAULT;
	struct vj_area_params other = params;
	struct area_mapping maker, holder;
	int fd = -1;

	(void)state;
	assert_int_equal(area_create("vj-test", &params, AREA_PAGES_HUGETLB, &fd, &maker), 0);
	assert_int_equal(area_map(fd, &params, &holder), 0);
	assert_true(maker.mem != holder.mem);
	((uint8_t *)maker.mem)[100000] = 0x5a;
	assert_int_equal(((uint8_t *)holder.mem)[100000], 0x5a);
	assert_true(((const struct area_header *)holder.mem)->magic == AREA_MAGIC);

	/* Nobody cuts it, makes it longer, or seals it further. */
	assert_int_equal(sys_ftruncate(fd, 0), -EPERM);
	assert_int_equal(sys_ftruncate(fd, maker.bytes * 2), -EPERM);
	assert_int_equal(sys_fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -EPERM);

	other.frame_cnt /= 2;
	area_unmap(&holder);
	assert_int_equal(area_map(fd, &other, &holder), -EMSGSIZE);
	other.frame_cnt = 3;
	assert_int_equal(area_map(fd, &other, &holder), -EINVAL);
	area_unmap(&maker);
	area_unmap(&maker);
	assert_null(maker.mem);
	sys_close(fd);

	assert_int_equal(area_create("vj-test", &other, AREA_PAGES_SMALL, &fd, NULL), -EINVAL);
	assert_int_equal(area_create("vj-test", &small, AREA_PAGES_SMALL, &fd, NULL), 0);
	assert_int_equal(area_map(fd, &small, &holder), 0);
	assert_int_equal(holder.pages, AREA_PAGES_SMALL);
	area_unmap(&holder);
	sys_close(fd);
}

/* Rounds in each of which @n frames go over and come back. Return: how many different ones were used */
static unsigned frames_used(struct channel_pair *pair, unsigned n)
{
	bool used[1024] = { false };
	struct vj_buf bufs[64];
	unsigned cnt = 0;

	for (unsigned round = 0; round < 1000; round++) {
		assert_int_equal(vj_channel_tx_get(pair->ch[1], bufs, n), n);
		for (unsigned i = 0; i < n; i++) {
			used[bufs[i].addr / 2048] = true;
			bufs[i].len = 60;
		}
		vj_channel_tx_put(pair->ch[1], bufs, n);
		vj_channel_tx_publish(pair->ch[1]);
		for (unsigned left = n; left > 0;) {
			unsigned got = vj_channel_rx(pair->ch[0], bufs, left);

			assert_int_not_equal(got, 0);
			vj_channel_rx_free(pair->ch[0], bufs, got);
			left -= got;
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(used); i++)
		cnt += used[i];
	return cnt;
}

/* Who takes frames for many messages and sends one uses no more than that one, if it has come back. */
static void test_sparing(void **state)
{
	const struct vj_area_params params = { .frame_bytes = 2048, .frame_cnt = 1024, .ring_cnt = 1024 };
	struct channel_pair pair;
	struct vj_buf bufs[16];
	uint64_t first;

	(void)state;
	pair_open(&pair, params, 0);
	assert_int_equal(channel_tx_get_sparing(pair.ch[1], bufs, 16), 1);
	first = bufs[0].addr;
	assert_int_equal(channel_tx_get_sparing(pair.ch[1], &bufs[1], 15), 1);
	assert_int_not_equal(bufs[1].addr, first);
	for (unsigned i = 0; i < 2; i++)
		bufs[i].len = 60;
	vj_channel_tx_put(pair.ch[1], bufs, 2);
	vj_channel_tx_publish(pair.ch[1]);
	assert_int_equal(vj_channel_rx(pair.ch[0], bufs, 16), 2);
	vj_channel_rx_free(pair.ch[0], bufs, 2);
	assert_int_equal(channel_tx_get_sparing(pair.ch[1], bufs, 16), 2);
	assert_int_equal(bufs[0].addr, first);
	pair_close(&pair);
}

/* A frame that came back is used before one that never was: few messages at a time touch few pages. */
static void test_few_messages_few_frames(void **state)
{
	const struct vj_area_params params = { .frame_bytes = 2048, .frame_cnt = 1024, .ring_cnt = 1024 };
	struct channel_pair pair;

	(void)state;
	pair_open(&pair, params, UINT32_MAX - 300);
	assert_int_equal(frames_used(&pair, 1), 1);
	assert_int_equal(frames_used(&pair, 20), 20);
	assert_int_equal(frames_used(&pair, 64), 64);
	assert_int_equal(vj_channel_error(pair.ch[0]), VJ_CHANNEL_ERR_NONE);
	pair_close(&pair);
}

/* Of a large pool the peer has the first frames from the start; the others when they are given, in order; before that it can't use one. */
static void test_more_frames_than_at_the_start(void **state)
{
	const struct vj_area_params params = { .frame_bytes = 2048, .frame_cnt = 1024, .ring_cnt = 1024 };
	struct vj_buf bufs[1024];
	struct channel_pair pair;
	unsigned cnt;

	(void)state;
	pair_open(&pair, params, UINT32_MAX - 300);
	cnt = vj_channel_tx_get(pair.ch[1], bufs, 1024);
	while (cnt < AREA_START_FRAMES)
		cnt += vj_channel_tx_get(pair.ch[1], bufs + cnt, 1024 - cnt);
	assert_int_equal(cnt, AREA_START_FRAMES);
	assert_int_equal(vj_channel_tx_get(pair.ch[1], bufs, 1), 0);
	assert_true(vj_channel_arm(pair.ch[1], true)); /* sleeps for frames to send in */
	assert_int_equal(vj_channel_rx_more(pair.ch[0], 700), 700);
	assert_int_equal(vj_channel_rx_more(pair.ch[0], 700), 1024 - AREA_START_FRAMES - 700);
	assert_int_equal(vj_channel_rx_more(pair.ch[0], 700), 0);
	assert_false(vj_channel_arm(pair.ch[1], true));
	while (cnt < 1024) {
		unsigned n = vj_channel_tx_get(pair.ch[1], bufs + cnt, 1024 - cnt);

		assert_int_not_equal(n, 0);
		cnt += n;
	}
	for (unsigned i = 0; i < cnt; i++) {
		assert_int_equal(bufs[i].addr / params.frame_bytes, i);
		bufs[i].len = 1;
	}
	vj_channel_tx_put(pair.ch[1], bufs, cnt);
	vj_channel_tx_publish(pair.ch[1]);
	for (cnt = 0; cnt < 1024; cnt++)
		assert_int_equal(vj_channel_rx(pair.ch[0], bufs + cnt, 1), 1);
	vj_channel_rx_free(pair.ch[0], bufs, cnt);
	assert_int_equal(vj_channel_error(pair.ch[0]), VJ_CHANNEL_ERR_NONE);
	assert_int_equal(vj_channel_error(pair.ch[1]), VJ_CHANNEL_ERR_NONE);
	assert_int_equal(vj_channel_rx_more(pair.ch[1], AREA_START_FRAMES), AREA_START_FRAMES); /* its own pool */
	pair_close(&pair);

	pair_open(&pair, params, 0);
	peer_send(&pair, AREA_START_FRAMES * 2048, 100, 0); /* a frame that was not given yet */
	assert_int_equal(vj_channel_rx(pair.ch[0], bufs, 1), 0);
	assert_int_equal(vj_channel_error(pair.ch[0]), VJ_CHANNEL_ERR_RX_OWNER);
	assert_int_equal(vj_channel_rx_more(pair.ch[0], 1), 0);
	pair_close(&pair);
}

static uint64_t bytes_present(int fd)
{
	struct stat st;

	assert_int_equal(sys_fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* The maker is vjd, whose one thread has no time for more than what isn't zero; who maps it has that, and what it touches; all of it zero. */
static void test_area_is_made_present_by_who_uses_it(void **state)
{
	const struct vj_area_params params = VJ_AREA_PARAMS_DEFAULT;
	struct area_layout l;
	struct area_mapping map;
	void *by_hand;
	int fd = -1;

	(void)state;
	area_layout(&params, &l);
	assert_int_equal(area_create("vj-test", &params, AREA_PAGES_SMALL, &fd, NULL), 0);
	assert_int_equal(area_map(fd, &params, &map), 0);
	if (map.pages == AREA_PAGES_SMALL) /* header, and both free rings' beginning */
		assert_true(bytes_present(fd) <= 3 * (uint64_t)sysconf(_SC_PAGESIZE));
	by_hand = aligned_alloc(AREA_PAGE_BYTES, l.bytes);
	assert_non_null(by_hand);
	memset(by_hand, 0, l.bytes);
	assert_int_equal(vj_area_init(by_hand, &params), 0);
	assert_memory_equal(map.mem, by_hand, l.pool[0]);
	free(by_hand);
	for (unsigned end = 0; end < 2; end++)
		area_present(map.mem, &params, end, 0, params.frame_cnt);
	assert_true(bytes_present(fd) >= map.bytes - l.pool[0]);
	for (uint64_t i = l.pool[0]; i < l.bytes; i++)
		assert_true(((const uint8_t *)map.mem)[i] == 0);
	area_unmap(&map);
	sys_close(fd);
	assert_int_equal(area_create("vj-test", &params, AREA_PAGES_SMALL, &fd, &map), 0);
	assert_int_equal(bytes_present(fd), map.bytes);
	area_unmap(&map);
	sys_close(fd);
}

/* What anybody could send instead of an area. */
static void test_area_map_refuses(void **state)
{
	const size_t bytes = vj_area_bytes(&small);
	struct area_mapping map;
	int fd, pipe_fds[2];

	(void)state;
	fd = sys_memfd_create("unsealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(sys_ftruncate(fd, bytes), 0);
	assert_int_equal(area_map(fd, &small, &map), -EPERM);
	assert_int_equal(sys_fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
	assert_int_equal(area_map(fd, &small, &map), -EPERM);
	assert_int_equal(sys_fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL), 0);
	assert_int_equal(area_map(fd, &small, &map), -EPERM);
	sys_close(fd);

	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(area_map(pipe_fds[0], &small, &map), -EINVAL);
	sys_close(pipe_fds[0]);
	sys_close(pipe_fds[1]);
	assert_int_equal(area_map(-1, &small, &map), -EBADF);
	fd = sys_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
	assert_true(area_map(fd, &small, &map) < 0);
	sys_close(fd);
}

static void test_not_inherited_by_fork(void **state)
{
	struct area_mapping map;
	int fd = -1, status;
	pid_t pid;

	(void)state;
	assert_int_equal(area_create("vj-test", &small, AREA_PAGES_SMALL, &fd, &map), 0);
	pid = fork();
	if (pid == 0) {
		unsigned char vec;

		_exit(mincore(map.mem, AREA_PAGE_BYTES, &vec) == 0 || errno != ENOMEM);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	area_unmap(&map);
	sys_close(fd);
}

/* A doorbell that is never read still wakes, time after time; and one that somebody has filled does not block. */
static void test_bell(void **state)
{
	const uint64_t most = UINT64_MAX - 1;
	int bell = bell_new(), untagged = bell_new(), set = bell_set_new();

	(void)state;
	assert_int_equal(bell_set_add(set, bell, 1), 0);
	assert_int_equal(bell_set_wait(set, 0), 0);
	for (unsigned int i = 0; i < 100; i++) {
		bell_ring(bell);
		assert_int_equal(bell_set_wait(set, 0), BELL_RANG);
		assert_int_equal(bell_set_wait(set, 0), 0);
	}
	assert_true(bell_rang(bell));
	assert_int_equal(sys_write(bell, &most, sizeof(most)), sizeof(most));
	bell_ring(bell);
	assert_int_equal(bell_set_wait(set, 0), BELL_RANG);
	assert_int_equal(bell_set_add(set, untagged, 0), 0);
	bell_ring(untagged);
	assert_int_equal(bell_set_wait(set, 0), BELL_RANG | BELL_UNTAGGED);
	assert_int_equal(bell_set_del(set, bell), 0);
	sys_close(untagged);
	sys_close(bell);
	sys_close(set);
}

static void test_sys_leaves_errno(void **state)
{
	(void)state;
	errno = E2BIG;
	assert_int_equal(sys_close(-1), -EBADF);
	assert_int_equal(sys_read(-1, NULL, 0), -EBADF);
	bell_ring(-1);
	assert_int_equal(errno, E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_params),
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_attach_refuses),
		cmocka_unit_test(test_send_before_peer),
		cmocka_unit_test(test_pass),
		cmocka_unit_test(test_pass_index_wrap),
		cmocka_unit_test(test_no_frame),
		cmocka_unit_test(test_publish_is_visible_only_then),
		cmocka_unit_test(test_buffers),
		cmocka_unit_test(test_unget),
		cmocka_unit_test(test_wake_rx),
		cmocka_unit_test(test_wake_tx),
		cmocka_unit_test(test_own_mistakes_abort),
		cmocka_unit_test(test_area_map),
		cmocka_unit_test(test_sparing),
		cmocka_unit_test(test_few_messages_few_frames),
		cmocka_unit_test(test_more_frames_than_at_the_start),
		cmocka_unit_test(test_area_is_made_present_by_who_uses_it),
		cmocka_unit_test(test_area_map_refuses),
		cmocka_unit_test(test_not_inherited_by_fork),
		cmocka_unit_test(test_bell),
		cmocka_unit_test(test_sys_leaves_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
