// SPDX-License-Identifier: BSD-2-Clause
/* report.c - the side that answers: see report.h */
#include "lib/report.h"

#include "channel/sys.h"
#include "control/packet.h"
#include "lib/own_fd.h"
#include "lib/priv.h"

#include <fcntl.h>
#include <sys/mman.h>

enum { BATCH = 16 }; /* records written together */

/* A memfd that is filled from its start */
struct sheet {
	int fd;
	uint64_t bytes;
	bool failed;
};

static void sheet_add(struct sheet *sheet, const void *p, size_t bytes)
{
	if (sys_pwrite(sheet->fd, p, bytes, sheet->bytes) != (long)bytes)
		sheet->failed = true;
	sheet->bytes += bytes;
}

/* Who gets it may rely on it. */
static bool sheet_seal(const struct sheet *sheet)
{
	return !sheet->failed && sys_fcntl(sheet->fd, F_ADD_SEALS,
					   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0;
}

static void conn_describe(const struct vj *vj, struct vj_conn c, struct report_conn *ret)
{
	struct endpoint local, remote;

	tcp_endpoints(vj->stack, (struct tcp_id){ c.v }, &local, &remote);
	*ret = (struct report_conn){
		.local = ctl_endpoint_make(&local, CTL_PROTO_TCP),
		.remote = ctl_endpoint_make(&remote, CTL_PROTO_TCP),
		.info.sz = sizeof(ret->info),
	};
	vj_conn_info(vj, c, &ret->info);
}

static void tell_conns(const struct vj *vj, struct sheet *sheet, struct ctl_reported *ret)
{
	struct report_conn batch[BATCH];
	struct vj_conn c = { 0 };
	unsigned cnt = 0;

	ret->record_bytes = sizeof(batch[0]);
	while (vj_conn_next(vj, &c)) {
		if (ret->record_cnt == CTL_REPORT_RECORDS_MAX) {
			ret->left_out++;
			continue;
		}
		conn_describe(vj, c, &batch[cnt++]);
		ret->record_cnt++;
		if (cnt == BATCH) {
			sheet_add(sheet, batch, sizeof(batch));
			cnt = 0;
		}
	}
	if (cnt)
		sheet_add(sheet, batch, cnt * sizeof(batch[0]));
}

void report_answer(struct vj *vj, int fd, uint32_t kind)
{
	struct ctl_msg msg = { .type = CTL_REPORTED, .seq = 1, .reported.kind = kind };
	struct sheet sheet = { 0 };
	struct ctl_packet packet;

	if (kind != CTL_REPORT_CONNS)
		return;
	sheet.fd = OWN_FD_MAKE(sys_memfd_create("vj-report", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (sheet.fd < 0)
		return;
	tell_conns(vj, &sheet, &msg.reported);
	if (sheet_seal(&sheet)) {
		ctl_packet_send(&packet, &msg, &sheet.fd, 1);
		sys_sendmsg(fd, &packet.hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	own_fd_close(sheet.fd);
}
