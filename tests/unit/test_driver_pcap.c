// SPDX-License-Identifier: BSD-2-Clause
/* What is recorded is what libpcap reads back, at every moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"
#include "driver/pcap.h"
#include "driver/sim.h"

static char dir[] = "/tmp/vj-test-pcap-XXXXXX";
static char path[sizeof(dir) + 16];

static int dir_make(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/a.pcap", dir);
	return 0;
}

static int dir_remove(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(dir);
}

static int file_remove(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

#define T0 (UINT64_C(1700000000) * NS_PER_SEC + 123456789)

/* Frame i: i + 20 bytes of i, i * 1 ms + i ns after T0. */
static void record(struct capture *capture, unsigned int from, unsigned int to)
{
	uint8_t bytes[2048];

	for (unsigned int i = from; i < to; i++) {
		memset(bytes, (int)(i & 0xff), sizeof(bytes));
		capture_frame(capture, T0 + i * (NS_PER_MS + 1), bytes, i % 1500 + 20);
	}
}

/* Return: frames in the file, all of which must be as recorded. */
static unsigned int read_back(void)
{
	char error[PCAP_ERRBUF_SIZE];
	struct pcap_pkthdr *header;
	const unsigned char *bytes;
	unsigned int i = 0;
	int got;
	pcap_t *in =
		pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);

	assert_non_null(in);
	assert_int_equal(pcap_datalink(in), DLT_EN10MB);
	while ((got = pcap_next_ex(in, &header, &bytes)) == 1) {
		uint64_t at = T0 + i * (NS_PER_MS + 1);

		assert_int_equal(header->ts.tv_sec, at / NS_PER_SEC);
		assert_int_equal(header->ts.tv_usec, at % NS_PER_SEC);
		assert_int_equal(header->len, i % 1500 + 20);
		assert_int_equal(header->caplen, header->len);
		for (unsigned int b = 0; b < header->caplen; b++)
			assert_int_equal(bytes[b], i & 0xff);
		i++;
	}
	/* Not an error: a half record at the end would be one. */
	assert_int_equal(got, PCAP_ERROR_BREAK);
	pcap_close(in);
	return i;
}

static void test_read_back(void **state)
{
	struct capture *capture = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(capture_open(path, &capture), 0);
	assert_int_equal(read_back(), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	record(capture, 0, 10);
	assert_int_equal(capture_flush(capture), 0);
	assert_int_equal(read_back(), 10);
	assert_int_equal(capture_frames(capture), 10);
	assert_int_equal(capture_close(capture), 0);
	assert_int_equal(read_back(), 10);

	/* Going on with the same file. */
	assert_int_equal(capture_open(path, &capture), 0);
	record(capture, 10, 15);
	assert_int_equal(capture_close(capture), 0);
	assert_int_equal(read_back(), 15);
	assert_int_equal(capture_close(NULL), 0);
}

/* Without any flush of ours, whatever has reached the file is whole. */
static void test_whole_records_only(void **state)
{
	struct capture *capture = NULL;
	unsigned int last = 0;

	(void)state;
	assert_int_equal(capture_open(path, &capture), 0);
	for (unsigned int i = 0; i < 3000; i += 100) {
		unsigned int now;

		record(capture, i, i + 100);
		now = read_back();
		assert_in_range(now, last, i + 100);
		last = now;
	}
	assert_true(last > 500);
	assert_int_equal(capture_close(capture), 0);
	assert_int_equal(read_back(), 3000);
}

static void test_long_frames(void **state)
{
	char error[PCAP_ERRBUF_SIZE];
	struct capture *capture = NULL;
	struct pcap_pkthdr *header;
	const unsigned char *bytes;
	uint8_t *frame = calloc(1, 70000);
	pcap_t *in;

	(void)state;
	assert_non_null(frame);
	assert_int_equal(capture_open(path, &capture), 0);
	for (unsigned int i = 0; i < 20; i++)
		capture_frame(capture, i, frame, 70000);
	assert_int_equal(capture_close(capture), 0);
	in = pcap_open_offline(path, error);
	assert_non_null(in);
	for (unsigned int i = 0; i < 20; i++) {
		assert_int_equal(pcap_next_ex(in, &header, &bytes), 1);
		assert_int_equal(header->len, 70000);
		assert_int_equal(header->caplen, CAPTURE_SNAP_BYTES);
	}
	pcap_close(in);
	free(frame);
}

static void test_failures(void **state)
{
	struct capture *capture = NULL;
	FILE *file = fopen(path, "w");

	(void)state;
	assert_non_null(file);
	(void)fputs("this is no capture file, and long enough for a header\n", file);
	fclose(file);
	assert_int_equal(capture_open(path, &capture), -EINVAL);
	assert_int_equal(capture_open("/nonexistent/a.pcap", &capture), -ENOENT);
	assert_null(capture);

	/* A full disk shows at the flush, once. */
	if (access("/dev/full", W_OK) == 0) {
		unlink(path);
		assert_int_equal(symlink("/dev/full", path), 0);
		if (capture_open(path, &capture) == 0) {
			record(capture, 0, 1);
			assert_int_equal(capture_flush(capture), -ENOSPC);
			(void)capture_close(capture);
		}
	}
}

/* Hung into a port of the simulator. */
static void test_as_tap(void **state)
{
	const struct vj_area_params params = VJ_AREA_PARAMS_DEFAULT;
	const struct sim_path wire = { .mtu = 0 };
	struct capture *capture = NULL;
	struct sim_port_id a, b;
	struct vj_buf buf;
	struct sim *sim;

	(void)state;
	assert_int_equal(capture_open(path, &capture), 0);
	assert_int_equal(sim_new(1, &sim), 0);
	assert_int_equal(sim_port_add(sim, &params, NULL, &a), 0);
	assert_int_equal(sim_port_add(sim, &params, NULL, &b), 0);
	assert_int_equal(sim_link_add(sim, a, b, &wire, &wire), 0);
	sim_port_tap(sim, b, capture_tap(capture));
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(vj_channel_tx_get(sim_port_channel(sim, a), &buf, 1), 1);
		buf.len = i + 20;
		memset(buf.data, (int)i, buf.len);
		vj_channel_tx_put(sim_port_channel(sim, a), &buf, 1);
		vj_channel_tx_publish(sim_port_channel(sim, a));
		sim_run(sim, T0 + i * (NS_PER_MS + 1));
	}
	sim_free(sim);
	assert_int_equal(capture_close(capture), 0);
	assert_int_equal(read_back(), 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_read_back, file_remove),
		cmocka_unit_test_teardown(test_whole_records_only, file_remove),
		cmocka_unit_test_teardown(test_long_frames, file_remove),
		cmocka_unit_test_teardown(test_failures, file_remove),
		cmocka_unit_test_teardown(test_as_tap, file_remove),
	};

	return cmocka_run_group_tests(tests, dir_make, dir_remove);
}
