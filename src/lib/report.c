// SPDX-License-Identifier: BSD-2-Clause
/* report.c - the side that answers: see report.h */
#include "lib/report.h"

#include "channel/sys.h"
#include "control/packet.h"
#include "lib/own_fd.h"
#include "lib/priv.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

enum { BATCH_BYTES = 1024 };
_Static_assert(sizeof(struct report_conn) <= BATCH_BYTES, "a record fits");

void (*report_socks_hook)(struct report_sheet *sheet);
bool report_off;

/* A memfd that is filled from its start, some records at a time */
struct report_sheet {
	int fd;
	bool failed;
	uint32_t batched; /* bytes in @batch */
	uint64_t written;
	struct ctl_reported said;
	uint8_t batch[BATCH_BYTES];
};

static void sheet_flush(struct report_sheet *sheet)
{
	if (own_fd_write(sheet->fd, sheet->batch, sheet->batched, sheet->written))
		sheet->failed = true;
	sheet->written += sheet->batched;
	sheet->batched = 0;
}

void report_add(struct report_sheet *sheet, const void *record)
{
	uint32_t bytes = sheet->said.record_bytes;

	if (sheet->said.record_cnt == CTL_REPORT_RECORDS_MAX) {
		sheet->said.left_out++;
		return;
	}
	if (sheet->batched + bytes > BATCH_BYTES)
		sheet_flush(sheet);
	memcpy(sheet->batch + sheet->batched, record, bytes);
	sheet->batched += bytes;
	sheet->said.record_cnt++;
}

/* Who gets it may rely on it. */
static bool sheet_seal(struct report_sheet *sheet)
{
	if (sheet->batched)
		sheet_flush(sheet);
	return !sheet->failed && sys_fcntl(sheet->fd, F_ADD_SEALS,
					   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0;
}

static void tell_conns(const struct vj *vj, struct report_sheet *sheet)
{
	struct vj_conn c = { 0 };

	while (vj_conn_next(vj, &c)) {
		struct report_conn r = { .info.sz = sizeof(r.info) };
		struct endpoint local, remote;

		tcp_endpoints(vj->stack, (struct tcp_id){ c.v }, &local, &remote);
		r.local = ctl_endpoint_make(&local, CTL_PROTO_TCP);
		r.remote = ctl_endpoint_make(&remote, CTL_PROTO_TCP);
		vj_conn_info(vj, c, &r.info);
		report_add(sheet, &r);
	}
}

/* Return: false: not of this kind */
static bool tell(const struct vj *vj, uint32_t kind, struct report_sheet *sheet)
{
	switch (kind) {
	case CTL_REPORT_CONNS:
		sheet->said.record_bytes = sizeof(struct report_conn);
		tell_conns(vj, sheet);
		return true;
	case CTL_REPORT_SOCKS:
		sheet->said.record_bytes = sizeof(struct report_sock);
		if (report_socks_hook)
			report_socks_hook(sheet);
		return true;
	default:
		return false;
	}
}

void report_answer(struct vj *vj, int fd, uint32_t kind)
{
	struct ctl_msg msg = { .type = CTL_REPORTED, .seq = 1 };
	struct report_sheet sheet = { .said.kind = kind };
	struct ctl_packet packet;

	if (report_off)
		return;
	sheet.fd = OWN_FD_MAKE(sys_memfd_create("vj-report", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	if (sheet.fd < 0)
		return;
	if (tell(vj, kind, &sheet) && sheet_seal(&sheet)) {
		msg.reported = sheet.said;
		ctl_packet_send(&packet, &msg, &sheet.fd, 1);
		sys_sendmsg(fd, &packet.hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	own_fd_close(sheet.fd);
}
