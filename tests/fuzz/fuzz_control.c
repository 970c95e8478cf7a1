/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_check() and ctl_packet_check() on anything at all. What passes must keep the promises that
 * the code behind relies on.
 */
#include "base/assert.h"
#include "control/packet.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_name(const char name[static CTL_NAME_MAX])
{
	size_t len = strnlen(name, CTL_NAME_MAX);

	VJ_ASSERT_OP(len, <, (size_t)CTL_NAME_MAX);
	for (size_t i = 0; i < len; i++)
		VJ_ASSERT(name[i] >= ' ' && name[i] <= '~');
}

/* What the kernel is told, and memory is taken for */
static void check_repair(const struct ctl_repair *r)
{
	VJ_ASSERT(r->ifindex != 0 && r->local_port != 0 && r->remote_port != 0);
	VJ_ASSERT((uint64_t)r->rcv_bytes + r->snd_bytes <= 2 * (uint64_t)CTL_REPAIR_QUEUE_MAX);
	VJ_ASSERT(r->sent_bytes <= r->snd_bytes && r->rcv_wscale <= CTL_REPAIR_WSCALE_MAX && r->snd_wscale <= CTL_REPAIR_WSCALE_MAX);
	VJ_ASSERT(r->rcv_seq + r->rcv_bytes - r->rcv_acked <= r->rcv_wnd && r->rcv_wnd <= CTL_REPAIR_WINDOW_MAX);
}

static void check_client_msg(const struct ctl_msg *m, unsigned fd_cnt)
{
	VJ_ASSERT_OP(m->seq, !=, 0u);
	VJ_ASSERT_OP(fd_cnt, ==, ctl_type_fds_max(m->type));
	switch (m->type) {
	case CTL_HELLO:
		check_name(m->hello.name);
		check_name(m->hello.release);
		break;
	case CTL_LEASE:
		VJ_ASSERT_OP(m->lease.local.port, !=, 0);
		break;
	case CTL_PORTS:
		VJ_ASSERT(m->ports.cnt >= 1 && m->ports.cnt <= CTL_PORTS_MAX);
		break;
	case CTL_CONNECT:
		VJ_ASSERT_OP(m->connect.ports, <=, CTL_PORTS_MAX);
		break;
	case CTL_RELEASE:
	case CTL_CHANNEL_CLOSE:
	case CTL_STATUS:
		break;
	case CTL_BRIEF:
		VJ_ASSERT_OP(m->brief.parent, >, 0);
		break;
	case CTL_TO_KERNEL:
		check_repair(&m->repair);
		break;
	case CTL_RESOLVE:
	case CTL_INTERFACE:
	case CTL_POLLING:
	case CTL_INTERFACE_LEFT:
		VJ_ASSERT(m->type == CTL_RESOLVE ? m->neighbour.ifindex != 0 : m->interface.ifindex != 0);
		break;
	case CTL_ATTACH:
	case CTL_DETACH:
		VJ_ASSERT(m->interface.name[0] != '\0');
		check_name(m->interface.name);
		break;
	case CTL_REPORT:
		VJ_ASSERT_OP(m->report.app_id, !=, 0);
		break;
	case CTL_HOLD:
		VJ_ASSERT(m->channel.id == 0 && m->channel.end <= 1);
		check_name(m->channel.peer_name);
		break;
	default:
		VJ_UNREACHABLE();
	}
}

static void check_daemon_msg(const struct ctl_msg *m, unsigned fd_cnt)
{
	VJ_ASSERT(m->type >= CTL_WELCOME && m->type <= CTL_TYPE_LAST);
	VJ_ASSERT(fd_cnt == 0 || fd_cnt == ctl_type_fds_max(m->type) || (fd_cnt == 1 && m->type == CTL_INTERFACE_OPEN));
	if (m->type == CTL_CHANNEL || m->type == CTL_CONNECTED || m->type == CTL_STATUS_CHANNEL)
		check_name(m->channel.peer_name);
	if (m->type == CTL_STATUS_COUNTER)
		check_name(m->counter.name);
	if (m->type == CTL_REPORTED)
		VJ_ASSERT((uint64_t)m->reported.record_bytes * m->reported.record_cnt <= 64 << 20);
	if (m->type == CTL_REFUSED) {
		check_name(m->refused.release);
		VJ_ASSERT(ctl_refusal_text((enum ctl_refusal)m->refused.refusal) != NULL);
		VJ_ASSERT_OP(ctl_refusal_errno((enum ctl_refusal)m->refused.refusal), >, 0);
	}
}

static void check_packet(const uint8_t *data, size_t len, unsigned fd_cnt, enum ctl_from from)
{
	int fds[CTL_FDS_MAX] = { 3, 4, 5, 6, 7 }, got[CTL_PACKET_FDS_ROOM];
	struct ctl_msg m = { 0 }, ret;
	struct ctl_packet p;
	unsigned got_cnt;

	memcpy(&m, data, len < sizeof(m) ? len : sizeof(m));
	ctl_packet_send(&p, &m, fds, fd_cnt % (CTL_FDS_MAX + 1));
	(void)ctl_packet_check(&p, len, from, &ret, got, &got_cnt);
	VJ_ASSERT_OP(got_cnt, ==, fd_cnt % (CTL_FDS_MAX + 1));
	VJ_ASSERT(memcmp(got, fds, got_cnt * sizeof(int)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	enum ctl_from from;
	unsigned fd_cnt;
	struct ctl_msg m;

	if (len < 1)
		return 0;
	from = (data[0] & 1) != 0 ? CTL_FROM_CLIENT : CTL_FROM_DAEMON;
	fd_cnt = data[0] >> 1;
	check_packet(data + 1, len - 1, fd_cnt, from);
	if (ctl_check(data + 1, len - 1, fd_cnt, from, &m) != CTL_REFUSAL_NONE)
		return 0;
	VJ_ASSERT_OP(len - 1, ==, sizeof(m));
	VJ_ASSERT(memcmp(&m, data + 1, sizeof(m)) == 0);
	if (from == CTL_FROM_CLIENT)
		check_client_msg(&m, fd_cnt);
	else
		check_daemon_msg(&m, fd_cnt);
	return 0;
}
