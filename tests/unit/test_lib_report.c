// SPDX-License-Identifier: BSD-2-Clause
/*
 * Asking an application about itself: what a hostile one may answer, and one of another version
 */
#include "control/packet.h"
#include "lib/report.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { RECORD = 32, ALL_SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static int memfd_of(size_t bytes, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	for (size_t i = 0; i < bytes; i++)
		assert_int_equal(pwrite(fd, &(char){ (char)(i + 1) }, 1, (off_t)i), 1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static struct ctl_msg said(uint32_t kind, uint32_t bytes, uint32_t cnt)
{
	return (struct ctl_msg){ .type = CTL_REPORTED,
				 .seq = 1,
				 .reported = { .kind = kind, .record_bytes = bytes, .record_cnt = cnt, .left_out = 5 } };
}

/* The answer @msg with @fds, which are closed. Return: as report_recv(); no descriptor is left behind. */
static int answer(const struct ctl_msg *msg, const int *fds, unsigned fd_cnt, void **ret_records, uint32_t *ret_cnt)
{
	struct ctl_packet p;
	uint64_t left_out = 0;
	int pair[2], next, r;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	if (msg != NULL) {
		ctl_packet_send(&p, msg, fds, fd_cnt);
		assert_true(sendmsg(pair[1], &p.hdr, MSG_NOSIGNAL) > 0);
	}
	for (unsigned i = 0; i < fd_cnt; i++)
		close(fds[i]);
	close(pair[1]);
	next = dup(pair[0]);
	close(next);
	r = report_recv(pair[0], CTL_REPORT_CONNS, RECORD, 1000, ret_records, ret_cnt, &left_out);
	assert_true(r != 0 || left_out == 5);
	assert_int_equal(dup(pair[0]), next);
	close(next);
	close(pair[0]);
	return r;
}

#define REFUSED(msg, memfd, err)                                                         \
	do {                                                                             \
		void *records_;                                                          \
		uint32_t cnt_;                                                           \
		assert_int_equal(answer(&(msg), &(int){ memfd }, 1, &records_, &cnt_), err); \
	} while (0)

static void what_is_said_is_checked(void **state)
{
	struct ctl_msg msg = said(CTL_REPORT_CONNS, RECORD, 2);
	int pipe_fds[2];

	(void)state;
	/* not sealed, or not enough: it could be cut while it is read */
	REFUSED(msg, memfd_of(2 * RECORD, 0), -EPROTO);
	REFUSED(msg, memfd_of(2 * RECORD, F_SEAL_GROW | F_SEAL_WRITE), -EPROTO);
	/* smaller or larger than said */
	REFUSED(msg, memfd_of(2 * RECORD - 1, ALL_SEALS), -EPROTO);
	REFUSED(msg, memfd_of(2 * RECORD + 1, ALL_SEALS), -EPROTO);
	/* no memfd, and one that would never be read to its end */
	assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
	REFUSED(msg, pipe_fds[0], -EPROTO);
	close(pipe_fds[1]);
	REFUSED(msg, open("/dev/zero", O_RDONLY | O_CLOEXEC), -EPROTO);
	/* of something else */
	msg = said(CTL_REPORT_CONNS + 1, RECORD, 2);
	REFUSED(msg, memfd_of(2 * RECORD, ALL_SEALS), -EPROTO);
	/* malformed; of another type */
	msg = said(CTL_REPORT_CONNS, CTL_REPORT_RECORD_MAX + 1, 1);
	REFUSED(msg, memfd_of(CTL_REPORT_RECORD_MAX + 1, ALL_SEALS), -EPROTO);
	msg = said(CTL_REPORT_CONNS, RECORD, 0);
	msg.type = CTL_REPORTING;
	REFUSED(msg, memfd_of(0, ALL_SEALS), -EPROTO);
}

static void nothing_is_said(void **state)
{
	struct ctl_msg msg = said(CTL_REPORT_CONNS, RECORD, 2);
	void *records = NULL;
	uint32_t cnt;
	int pair[2];

	(void)state;
	assert_int_equal(answer(NULL, NULL, 0, &records, &cnt), -ENODATA);
	assert_int_equal(answer(&msg, NULL, 0, &records, &cnt), -EPROTO);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(report_recv(pair[0], CTL_REPORT_CONNS, RECORD, 20, &records, &cnt, &(uint64_t){ 0 }), -ETIMEDOUT);
	close(pair[0]);
	close(pair[1]);
}

/* Records are as long as the asker knows them, whatever the asked knows. */
static void versions_understand_each_other(void **state)
{
	static const uint32_t sizes[] = { 1, RECORD - 8, RECORD, RECORD + 8, CTL_REPORT_RECORD_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct ctl_msg msg = said(CTL_REPORT_CONNS, sizes[i], 3);
		int memfd = memfd_of(3 * (size_t)sizes[i], ALL_SEALS);
		void *records;
		uint32_t cnt;

		assert_int_equal(answer(&msg, &memfd, 1, &records, &cnt), 0);
		assert_int_equal(cnt, 3);
		for (uint32_t at = 0; at < 3 * RECORD; at++) {
			uint32_t in = at % RECORD, of = at / RECORD;

			assert_int_equal(((char *)records)[at],
					 in < sizes[i] ? (char)(of * sizes[i] + in + 1) : 0);
		}
		free(records);
	}
}

static void none_is_an_answer(void **state)
{
	struct ctl_msg msg = said(CTL_REPORT_CONNS, RECORD, 0);
	int memfd = memfd_of(0, ALL_SEALS);
	void *records;
	uint32_t cnt;

	(void)state;
	assert_int_equal(answer(&msg, &memfd, 1, &records, &cnt), 0);
	assert_int_equal(cnt, 0);
	free(records);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_is_checked),
		cmocka_unit_test(nothing_is_said),
		cmocka_unit_test(versions_understand_each_other),
		cmocka_unit_test(none_is_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
