// SPDX-License-Identifier: BSD-2-Clause
/* report_recv.c - the side that asks: see report.h */
#include "channel/sys.h"
#include "control/packet.h"
#include "lib/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

/* The one packet. Return: 0 and a memfd, the caller's; errors of report_recv(). */
static int recv_reported(int fd, int timeout_ms, struct ctl_reported *ret, int *ret_memfd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	int fds[CTL_PACKET_FDS_ROOM];
	struct ctl_packet packet;
	enum ctl_refusal verdict;
	struct ctl_msg msg;
	unsigned fd_cnt;
	long n = sys_poll_ms(&pfd, 1, timeout_ms);

	if (n <= 0)
		return n == 0 ? -ETIMEDOUT : (int)n;
	ctl_packet_recv(&packet);
	n = sys_recvmsg(fd, &packet.hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n <= 0)
		return -ENODATA;
	verdict = ctl_packet_check(&packet, (size_t)n, CTL_FROM_DAEMON, &msg, fds, &fd_cnt);
	if (verdict == CTL_REFUSAL_NONE && msg.type == CTL_REPORTED) {
		*ret = msg.reported;
		*ret_memfd = fds[0];
		return 0;
	}
	for (unsigned i = 0; i < fd_cnt; i++)
		sys_close(fds[i]);
	return (packet.hdr.msg_flags & MSG_CTRUNC) != 0 && fd_cnt == 0 ? -EMFILE : -EPROTO;
}

/* Is it what @said says, and will it stay so? Seals exist on memfds only, so no read of it can hang. */
static bool memfd_good(int memfd, const struct ctl_reported *said)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int have = sys_fcntl(memfd, F_GET_SEALS, 0);
	struct stat st;

	return have >= 0 && (have & seals) == seals && sys_fstat(memfd, &st) == 0 &&
	       (uint64_t)st.st_size == (uint64_t)said->record_bytes * said->record_cnt;
}

/* Return: 0; -EPROTO; -ENOMEM. */
static int read_records(int memfd, const struct ctl_reported *said, size_t bytes, char **ret_records)
{
	size_t take = said->record_bytes < bytes ? said->record_bytes : bytes;
	char *records = calloc(said->record_cnt + 1, bytes);

	if (records == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < said->record_cnt; i++) {
		uint64_t at = (uint64_t)i * said->record_bytes;

		if (sys_pread(memfd, records + i * bytes, take, at) != (long)take) {
			free(records);
			return -EPROTO;
		}
	}
	*ret_records = records;
	return 0;
}

int report_recv(int fd, uint32_t kind, size_t bytes, int timeout_ms, void **ret_records, uint32_t *ret_cnt,
		uint64_t *ret_left_out)
{
	struct ctl_reported said;
	char *records = NULL;
	int memfd, r;

	r = recv_reported(fd, timeout_ms, &said, &memfd);
	if (r < 0)
		return r;
	r = said.kind == kind && memfd_good(memfd, &said) ? read_records(memfd, &said, bytes, &records) : -EPROTO;
	sys_close(memfd);
	if (r < 0)
		return r;
	*ret_records = records;
	*ret_cnt = said.record_cnt;
	*ret_left_out = said.left_out;
	return 0;
}
