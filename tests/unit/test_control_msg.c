/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_check() from the table: what is well-formed passes, and each single way to be malformed
 * doesn't.
 */
#include "control/msg.h"
#include "control/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <string.h>
#include <cmocka.h>

/* One good message of each type, with the descriptors it needs. */
struct sample {
	struct ctl_msg msg;
	enum ctl_from from;
	unsigned fd_cnt;
};

#define INTERFACE                                                                                                      \
	{                                                                                                              \
		.ifindex = 2, .frame_bytes = 4096, .frame_cnt = 512, .rx_cnt = 256, .tx_cnt = 256, .fill_cnt = 256,    \
		.comp_cnt = 256, .name = "eth0"                                                                        \
	}
#define REPAIR                                                                                                         \
	{                                                                                                              \
		.local = { [10] = 0xff, 0xff, 10, 0, 0, 1 }, .remote = { [10] = 0xff, 0xff, 10, 0, 0, 2 },             \
		.local_port = 80, .remote_port = 40000, .ifindex = 2, .flags = CTL_REPAIR_SACK, .rcv_seq = UINT32_MAX, \
		.rcv_bytes = 10, .snd_bytes = 20, .sent_bytes = 20, .rcv_acked = 5, .rcv_wnd = 100, .mss = 1460        \
	}
#define ENDPOINT { .addr = { [10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1 }, .port = 6379, .proto = CTL_PROTO_TCP }

static const struct sample samples[] = {
	{ { .type = CTL_HELLO, .seq = 1, .hello = { .version = CTL_VERSION, .name = "redis", .release = "0.1.0" } },
	  CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_WELCOME, .seq = 1, .welcome = { .version = CTL_VERSION, .app_id = 1, .release = "0.1.0" } },
	  CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_LEASE, .seq = 2, .lease = { .local = ENDPOINT, .flags = CTL_LEASE_REUSEPORT } },
	  CTL_FROM_CLIENT, 1 },
	{ { .type = CTL_LEASED, .seq = 2, .lease = { .local = ENDPOINT, .id = 7, .app_id = 1 } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_RELEASE, .seq = 3, .lease = { .id = 7 } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_RELEASED, .seq = 3, .lease = { .local = ENDPOINT, .id = 7 } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_PORTS, .seq = 4, .ports = { .proto = CTL_PROTO_UDP, .cnt = 256 } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_PORTS_LEASED, .seq = 4, .ports = { .proto = CTL_PROTO_UDP, .first = 32768, .cnt = 256 } },
	  CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_CONNECT, .seq = 5, .connect = { .remote = ENDPOINT } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_CONNECTED, .seq = 5, .channel = { .id = 3, .proto = CTL_PROTO_TCP } }, CTL_FROM_DAEMON, 3 },
	{ { .type = CTL_CHANNEL, .seq = 0, .channel = { .id = 3, .end = 1, .proto = CTL_PROTO_RAW, .port = 5 } },
	  CTL_FROM_DAEMON, 3 },
	{ { .type = CTL_CHANNEL_CLOSE, .seq = 6, .close = { .channel_id = 3, .reason = VJ_CHANNEL_ERR_CLOSED } },
	  CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_PEER_GONE, .seq = 0, .close = { .channel_id = 3, .reason = VJ_CHANNEL_ERR_PEER_GONE } },
	  CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_LEASE_GONE, .seq = 0, .lease = { .local = ENDPOINT, .id = 7 } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_STATUS, .seq = 7 }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_STATUS_APP, .seq = 7, .app = { .id = 1, .name = "x" } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_STATUS_LEASE, .seq = 7, .lease = { .local = ENDPOINT, .id = 7 } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_STATUS_CHANNEL, .seq = 7, .channel = { .id = 3, .proto = CTL_PROTO_UDP } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_STATUS_END, .seq = 7, .daemon = { .pid = 1, .release = "0.1.0" } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_REFUSED, .seq = 8, .refused = { .refusal = CTL_REFUSAL_MALFORMED, .release = "0.1.0" } },
	  CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_HOLD, .seq = 9, .channel = { .end = 1, .proto = CTL_PROTO_TCP, .key = { 1 } } },
	  CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_HELD, .seq = 9, .channel = { .id = 3, .end = 1, .proto = CTL_PROTO_TCP } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_INTERFACE, .seq = 10, .interface = { .ifindex = 2, .key = { 1 } } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_INTERFACE_OPEN, .seq = 10, .interface = INTERFACE }, CTL_FROM_DAEMON, 5 },
	{ { .type = CTL_INTERFACE_NEWS, .interface = { .ifindex = 2, .flags = CTL_INTERFACE_GONE } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_ATTACH, .seq = 10, .interface = { .flags = CTL_INTERFACE_GATEWAY, .name = "eth1" } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_BRIEF, .seq = 12, .brief = { .parent = 4711 } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_POLLING, .seq = 10, .interface = { .ifindex = 2, .flags = CTL_INTERFACE_POLLING } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_INTERFACE_LEFT, .seq = 10, .interface = { .ifindex = 2, .ended = 1 } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_RESOLVE, .seq = 11, .neighbour = { .ifindex = 2 } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_RESOLVED, .neighbour = { .ifindex = 2, .failed = 1 } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_ATTACH, .seq = 12, .interface = { .name = "eth0" } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_ATTACHED, .seq = 12, .interface = { .ifindex = 2, .name = "eth0" } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_DETACH, .seq = 13, .interface = { .name = "eth0" } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_DETACHED, .seq = 13, .interface = { .ifindex = 2, .name = "eth0" } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_STATUS_INTERFACE, .seq = 7, .interface = INTERFACE }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_STATUS_COUNTER, .seq = 7, .counter = { .ifindex = 2, .where = "gate", .name = "source" } },
	  CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_REPORT, .seq = 14, .report = { .app_id = 3, .kind = CTL_REPORT_CONNS } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_REPORTING, .seq = 14, .report = { .app_id = 3, .kind = CTL_REPORT_CONNS } }, CTL_FROM_DAEMON, 1 },
	{ { .type = CTL_REPORT_WANTED, .report = { .app_id = 3, .kind = CTL_REPORT_CONNS } }, CTL_FROM_DAEMON, 1 },
	{ { .type = CTL_REPORTED, .seq = 1, .reported = { .kind = CTL_REPORT_CONNS, .record_bytes = 8, .record_cnt = 2 } },
	  CTL_FROM_DAEMON, 1 },
	{ { .type = CTL_JOIN, .seq = 14, .join = { .app_id = 1, .pid = 2 } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_PASS, .seq = 15, .join = { .app_id = 1, .pid = 2 } }, CTL_FROM_CLIENT, 1 },
	{ { .type = CTL_PASSED, .seq = 15, .join = { .app_id = 1, .pid = 2 } }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_HANDED, .join = { .app_id = 1, .pid = 2 } }, CTL_FROM_DAEMON, 1 },
	{ { .type = CTL_OFFER, .seq = 16, .connect = { .remote = ENDPOINT, .flow = 7 } }, CTL_FROM_CLIENT, 1 },
	{ { .type = CTL_MACS, .seq = 17 }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_MACS_ENTRY, .seq = 17, .mac = { .ifindex = 2, .kind = CTL_MAC_CLAIMED, .name = "eth0" } },
	  CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_MACS_END, .seq = 17 }, CTL_FROM_DAEMON, 0 },
	{ { .type = CTL_FIREWALL, .seq = 19, .firewall = { .flags = CTL_FIREWALL_HANDLES } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_FIREWALL_SHOWN, .seq = 19 }, CTL_FROM_DAEMON, 1 },
	{ { .type = CTL_TO_KERNEL, .seq = 20, .repair = REPAIR }, CTL_FROM_CLIENT, 1 },
	{ { .type = CTL_IN_KERNEL, .seq = 20, .repair = REPAIR }, CTL_FROM_DAEMON, 1 },
	{ { .type = CTL_ASK, .seq = 18, .connect = { .remote = ENDPOINT } }, CTL_FROM_CLIENT, 0 },
	{ { .type = CTL_ASKED, .seq = 18, .mac = { .ifindex = 2, .kind = CTL_MAC_LEARNED, .port_lo = 1, .port_hi = 2 } },
	  CTL_FROM_DAEMON, 0 },
};

#define GOOD(msg, fds, from) assert_int_equal(check(msg, fds, from), CTL_REFUSAL_NONE)
#define BAD(msg, fds, from) assert_int_equal(check(msg, fds, from), CTL_REFUSAL_MALFORMED)

static enum ctl_refusal check(const struct ctl_msg *msg, unsigned fd_cnt, enum ctl_from from)
{
	struct ctl_msg ret, untouched;
	enum ctl_refusal why;

	memset(&untouched, 0xa5, sizeof(untouched));
	ret = untouched;
	why = ctl_check(msg, sizeof(*msg), fd_cnt, from, &ret);
	assert_memory_equal(&ret, why == CTL_REFUSAL_NONE ? msg : &untouched, sizeof(ret));
	return why;
}

static const struct sample *sample_of(enum ctl_type type)
{
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		if (samples[i].msg.type == type)
			return &samples[i];
	fail_msg("no sample of %s", ctl_type_name(type));
	return NULL;
}

/* A copy of the good message to be spoilt. */
static struct ctl_msg copy_of(enum ctl_type type)
{
	return sample_of(type)->msg;
}

static void every_type_has_a_good_message(void **state)
{
	(void)state;
#define X(name, nr, from_, fds_min, fds_max, body) \
	GOOD(&sample_of(CTL_##name)->msg, sample_of(CTL_##name)->fd_cnt, sample_of(CTL_##name)->from); \
	assert_string_equal(ctl_type_name(nr), #name);
	CTL_MESSAGES(X)
#undef X
}

/* What vjd would tell the kernel, and take memory for */
static void repairs_are_possible(void **state)
{
	static const struct {
		size_t off;
		uint32_t value;
	} bad[] = {
		{ offsetof(struct ctl_repair, ifindex), 0 },
		{ offsetof(struct ctl_repair, flags), 128 },
		{ offsetof(struct ctl_repair, flags), CTL_REPAIR_FIN_SENT }, /* without FIN */
		{ offsetof(struct ctl_repair, flags), CTL_REPAIR_FIN | CTL_REPAIR_FIN_ACKED }, /* not sent */
		{ offsetof(struct ctl_repair, flags), CTL_REPAIR_FIN | CTL_REPAIR_FIN_SENT | CTL_REPAIR_FIN_ACKED }, /* and something waits */
		{ offsetof(struct ctl_repair, rcv_bytes), CTL_REPAIR_QUEUE_MAX + 1 },
		{ offsetof(struct ctl_repair, snd_bytes), CTL_REPAIR_QUEUE_MAX + 1 },
		{ offsetof(struct ctl_repair, snd_bytes), 19 },
		{ offsetof(struct ctl_repair, rcv_acked), 10 }, /* more than has come */
		{ offsetof(struct ctl_repair, rcv_wnd), 3 },	/* has come beyond the window */
		{ offsetof(struct ctl_repair, rcv_wnd), CTL_REPAIR_WINDOW_MAX + 1 },
		{ offsetof(struct ctl_repair, snd_wnd), CTL_REPAIR_WINDOW_MAX + 1 },
		{ offsetof(struct ctl_repair, mss), 47 },
		{ offsetof(struct ctl_repair, mss), 1460 | 15 << 16 }, /* the scales follow it, on any machine that this runs on */
		{ offsetof(struct ctl_repair, local_port), 80 },       /* ... and the remote port the local one */
		{ offsetof(struct ctl_repair, remote) + 12, 0 },
		{ offsetof(struct ctl_repair, local) + 8, 0 }, /* one of IPv6, the other not */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct ctl_msg m = copy_of(CTL_TO_KERNEL);

		memcpy((uint8_t *)&m.repair + bad[i].off, &bad[i].value, sizeof(bad[i].value));
		BAD(&m, 1, CTL_FROM_CLIENT);
	}
	BAD(&sample_of(CTL_TO_KERNEL)->msg, 0, CTL_FROM_CLIENT);
}

static void direction_is_checked(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		BAD(&samples[i].msg, samples[i].fd_cnt,
		    samples[i].from == CTL_FROM_CLIENT ? CTL_FROM_DAEMON : CTL_FROM_CLIENT);
}

static void length_is_exact(void **state)
{
	uint8_t bytes[2 * sizeof(struct ctl_msg)] = { 0 };
	struct ctl_msg ret;

	(void)state;
	memcpy(bytes, &sample_of(CTL_STATUS)->msg, sizeof(struct ctl_msg));
	for (size_t len = 0; len <= sizeof(bytes); len++)
		assert_int_equal(ctl_check(bytes, len, 0, CTL_FROM_CLIENT, &ret),
				 len == sizeof(struct ctl_msg) ? CTL_REFUSAL_NONE : CTL_REFUSAL_MALFORMED);
}

static void address_need_not_be_aligned(void **state)
{
	uint8_t bytes[1 + sizeof(struct ctl_msg)];
	struct ctl_msg ret;

	(void)state;
	memcpy(bytes + 1, &sample_of(CTL_STATUS_APP)->msg, sizeof(struct ctl_msg));
	assert_int_equal(ctl_check(bytes + 1, sizeof(struct ctl_msg), 0, CTL_FROM_DAEMON, &ret), CTL_REFUSAL_NONE);
}

static void descriptors_are_counted(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		for (unsigned n = 0; n < 300; n++) {
			bool ok = n == samples[i].fd_cnt || (samples[i].msg.type == CTL_CONNECTED && n == 0) ||
				  (samples[i].msg.type == CTL_INTERFACE_OPEN && n == 1);

			assert_int_equal(check(&samples[i].msg, n, samples[i].from),
					 ok ? CTL_REFUSAL_NONE : CTL_REFUSAL_MALFORMED);
		}
}

static void unknown_types_are_malformed(void **state)
{
	static const uint32_t types[] = { 0, CTL_TYPE_LAST + 1, 255, 0x80000001, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct ctl_msg m = { .type = types[i], .seq = 1 };

		BAD(&m, 0, CTL_FROM_CLIENT);
		BAD(&m, 0, CTL_FROM_DAEMON);
		assert_string_equal(ctl_type_name(types[i]), "?");
	}
}

static void only_events_have_no_seq(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct ctl_msg m = samples[i].msg;
		bool event = ctl_type_is_event(m.type);

		assert_int_equal(event, samples[i].msg.seq == 0);
		m.seq = event ? 1 : 0;
		if (m.type == CTL_REFUSED)
			GOOD(&m, 0, CTL_FROM_DAEMON);
		else
			BAD(&m, samples[i].fd_cnt, samples[i].from);
	}
}

/* What is behind the body must be zero, to the last byte. */
static void tail_is_zero(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
		struct ctl_msg m = samples[i].msg;

		if (m.type == CTL_DETACHED || m.type == CTL_INTERFACE_LEFT) /* use it */
			continue;
		m.bytes[sizeof(m.bytes) - 1] = 1;
		BAD(&m, samples[i].fd_cnt, samples[i].from);
	}
}

static void names_are_terminated_and_printable(void **state)
{
	struct ctl_msg m = copy_of(CTL_HELLO);

	(void)state;
	memset(m.hello.name, 'x', sizeof(m.hello.name));
	BAD(&m, 0, CTL_FROM_CLIENT);
	m.hello.name[CTL_NAME_MAX - 1] = '\0';
	GOOD(&m, 0, CTL_FROM_CLIENT);
	m.hello.name[3] = '\033';
	BAD(&m, 0, CTL_FROM_CLIENT);
	m.hello.name[3] = (char)0xe4;
	BAD(&m, 0, CTL_FROM_CLIENT);
	m.hello.name[3] = '\0'; /* and something hidden behind it */
	BAD(&m, 0, CTL_FROM_CLIENT);
	memset(m.hello.name, 0, sizeof(m.hello.name));
	GOOD(&m, 0, CTL_FROM_CLIENT);
}

static void another_version_may_say_more(void **state)
{
	struct ctl_msg hello = copy_of(CTL_HELLO), refused = copy_of(CTL_REFUSED);

	(void)state;
	hello.hello.flags = 0xffff0000;
	hello.bytes[119] = 1;
	BAD(&hello, 0, CTL_FROM_CLIENT);
	hello.hello.version = CTL_VERSION + 1;
	GOOD(&hello, 0, CTL_FROM_CLIENT);
	hello.hello.release[CTL_NAME_MAX - 1] = 'x';
	BAD(&hello, 0, CTL_FROM_CLIENT);

	refused.bytes[119] = 1;
	BAD(&refused, 0, CTL_FROM_DAEMON);
	refused.refused.refusal = CTL_REFUSAL_VERSION;
	GOOD(&refused, 0, CTL_FROM_DAEMON);
}

#define SPOIL(type, fds, from, change)           \
	do {                                     \
		struct ctl_msg m = copy_of(type);\
		change;                          \
		BAD(&m, fds, from);              \
	} while (0)

static void fields_are_in_range(void **state)
{
	(void)state;
	SPOIL(CTL_HELLO, 0, CTL_FROM_CLIENT, m.hello.flags = 2);
	SPOIL(CTL_HELLO, 0, CTL_FROM_CLIENT, m.hello.pad = 1);
	SPOIL(CTL_WELCOME, 0, CTL_FROM_DAEMON, m.welcome.app_id = 0);
	SPOIL(CTL_WELCOME, 0, CTL_FROM_DAEMON, m.welcome.version++);
	SPOIL(CTL_WELCOME, 0, CTL_FROM_DAEMON, m.welcome.private_mode = 2);
	SPOIL(CTL_LEASE, 1, CTL_FROM_CLIENT, m.lease.flags = 8);
	SPOIL(CTL_LEASE, 1, CTL_FROM_CLIENT, m.lease.id = 1);
	SPOIL(CTL_LEASE, 1, CTL_FROM_CLIENT, m.lease.local.port = 0);
	SPOIL(CTL_LEASE, 1, CTL_FROM_CLIENT, m.lease.local.proto = 1);
	SPOIL(CTL_LEASE, 1, CTL_FROM_CLIENT, m.lease.local.pad[4] = 1);
	SPOIL(CTL_RELEASE, 0, CTL_FROM_CLIENT, m.lease.id = 0);
	SPOIL(CTL_LEASED, 0, CTL_FROM_DAEMON, m.lease.id = 0);
	SPOIL(CTL_PORTS, 0, CTL_FROM_CLIENT, m.ports.proto = CTL_PROTO_RAW);
	SPOIL(CTL_PORTS, 0, CTL_FROM_CLIENT, m.ports.cnt = 0);
	SPOIL(CTL_PORTS, 0, CTL_FROM_CLIENT, m.ports.cnt = CTL_PORTS_MAX + 1);
	SPOIL(CTL_PORTS_LEASED, 0, CTL_FROM_DAEMON, m.ports.first = 65535);
	SPOIL(CTL_PORTS_LEASED, 0, CTL_FROM_DAEMON, m.ports.first = 0);
	SPOIL(CTL_CONNECT, 0, CTL_FROM_CLIENT, m.connect.remote.port = 0);
	SPOIL(CTL_CONNECT, 0, CTL_FROM_CLIENT, m.connect.remote.proto = 0);
	SPOIL(CTL_CONNECT, 0, CTL_FROM_CLIENT, m.connect.pad = 1);
	SPOIL(CTL_CONNECT, 0, CTL_FROM_CLIENT, m.connect.ports = CTL_PORTS_MAX + 1);
	SPOIL(CTL_CONNECT, 0, CTL_FROM_CLIENT, m.connect.ports = 1; m.connect.remote.proto = CTL_PROTO_RAW);
	SPOIL(CTL_ASK, 0, CTL_FROM_CLIENT, m.connect.ports = 1);
	SPOIL(CTL_CONNECTED, 3, CTL_FROM_DAEMON, m.channel.id = 0);
	SPOIL(CTL_CONNECTED, 3, CTL_FROM_DAEMON, m.channel.end = 2);
	SPOIL(CTL_CONNECTED, 3, CTL_FROM_DAEMON, m.channel.port = 1);
	SPOIL(CTL_CONNECTED, 3, CTL_FROM_DAEMON, m.channel.ports_first = 1);
	SPOIL(CTL_CONNECTED, 3, CTL_FROM_DAEMON, m.channel.ports_cnt = 1);
	SPOIL(CTL_CONNECTED, 3, CTL_FROM_DAEMON, m.channel.ports_first = 65535; m.channel.ports_cnt = 2);
	SPOIL(CTL_CONNECTED, 3, CTL_FROM_DAEMON, m.channel.pad = 1);
	SPOIL(CTL_CHANNEL, 3, CTL_FROM_DAEMON, m.channel.ports_first = 32768; m.channel.ports_cnt = 32);
	SPOIL(CTL_CHANNEL, 3, CTL_FROM_DAEMON, m.channel.port = 0);
	SPOIL(CTL_HOLD, 0, CTL_FROM_CLIENT, m.channel.id = 1);
	SPOIL(CTL_HOLD, 0, CTL_FROM_CLIENT, m.channel.end = 2);
	SPOIL(CTL_HOLD, 0, CTL_FROM_CLIENT, m.channel.owners = 1);
	SPOIL(CTL_HELD, 0, CTL_FROM_DAEMON, m.channel.id = 0);
	SPOIL(CTL_WELCOME, 0, CTL_FROM_DAEMON, m.welcome.pad2 = 1);
	SPOIL(CTL_JOIN, 0, CTL_FROM_CLIENT, m.join.app_id = 0);
	SPOIL(CTL_PASS, 1, CTL_FROM_CLIENT, m.join.pid = 0);
	SPOIL(CTL_PASS, 1, CTL_FROM_CLIENT, m.join.pid = -1);
	SPOIL(CTL_HANDED, 1, CTL_FROM_DAEMON, m.join.app_id = 0);
	SPOIL(CTL_OFFER, 1, CTL_FROM_CLIENT, m.connect.remote.port = 0);
	SPOIL(CTL_CHANNEL_CLOSE, 0, CTL_FROM_CLIENT, m.close.channel_id = 0);
	SPOIL(CTL_CHANNEL_CLOSE, 0, CTL_FROM_CLIENT, m.close.reason = VJ_CHANNEL_ERR_CLOSED + 1);
	SPOIL(CTL_STATUS, 0, CTL_FROM_CLIENT, m.none.pad[7] = 1);
	SPOIL(CTL_STATUS_APP, 0, CTL_FROM_DAEMON, m.app.pad[5] = 1);
	SPOIL(CTL_REFUSED, 0, CTL_FROM_DAEMON, m.refused.refusal = 0);
	SPOIL(CTL_REPORT, 0, CTL_FROM_CLIENT, m.report.app_id = 0);
	SPOIL(CTL_REPORTED, 1, CTL_FROM_DAEMON, m.reported.record_bytes = 0);
	SPOIL(CTL_REPORTED, 1, CTL_FROM_DAEMON, m.reported.record_bytes = CTL_REPORT_RECORD_MAX + 1);
	SPOIL(CTL_REPORTED, 1, CTL_FROM_DAEMON, m.reported.record_cnt = CTL_REPORT_RECORDS_MAX + 1);
	SPOIL(CTL_REPORTED, 1, CTL_FROM_DAEMON, m.reported.pad = 1);
}

static void fields_of_interfaces_are_in_range(void **state)
{
	(void)state;
	SPOIL(CTL_INTERFACE, 0, CTL_FROM_CLIENT, m.interface.ifindex = 0);
	SPOIL(CTL_INTERFACE, 0, CTL_FROM_CLIENT, m.interface.flags = 64);
	SPOIL(CTL_BRIEF, 0, CTL_FROM_CLIENT, m.brief.parent = 0);
	SPOIL(CTL_BRIEF, 0, CTL_FROM_CLIENT, m.brief.parent = -1);
	SPOIL(CTL_POLLING, 0, CTL_FROM_CLIENT, m.interface.ifindex = 0);
	SPOIL(CTL_INTERFACE, 0, CTL_FROM_CLIENT, m.interface.silent = 1);
	SPOIL(CTL_INTERFACE_LEFT, 0, CTL_FROM_CLIENT, m.interface.given = 1);
	SPOIL(CTL_INTERFACE_LEFT, 0, CTL_FROM_CLIENT, m.interface.ifindex = 0);
	SPOIL(CTL_INTERFACE_LEFT, 0, CTL_FROM_CLIENT, m.interface.flags = CTL_INTERFACE_LEAVING);
	SPOIL(CTL_INTERFACE_NEWS, 0, CTL_FROM_DAEMON, m.interface.ended = 1);
	SPOIL(CTL_INTERFACE_NEWS, 0, CTL_FROM_DAEMON, m.interface.flags = 128);
	SPOIL(CTL_INTERFACE, 0, CTL_FROM_CLIENT, m.interface.prefix_len = 64);
	SPOIL(CTL_ATTACH, 0, CTL_FROM_CLIENT, m.interface.prefix_len = 129);
	SPOIL(CTL_INTERFACE, 0, CTL_FROM_CLIENT, memset(m.interface.name, 'x', sizeof(m.interface.name)));
	SPOIL(CTL_INTERFACE_OPEN, 5, CTL_FROM_DAEMON, m.interface.frame_bytes = 4095);
	SPOIL(CTL_INTERFACE_OPEN, 5, CTL_FROM_DAEMON, m.interface.rx_cnt = 0);
	SPOIL(CTL_INTERFACE_OPEN, 5, CTL_FROM_DAEMON, m.interface.comp_cnt = 3);
	SPOIL(CTL_INTERFACE_OPEN, 5, CTL_FROM_DAEMON, m.interface.ifindex = 0);
	SPOIL(CTL_ATTACH, 0, CTL_FROM_CLIENT, m.interface.name[0] = '\0');
	SPOIL(CTL_ATTACH, 0, CTL_FROM_CLIENT, m.interface.name[1] = '\n');
	SPOIL(CTL_RESOLVE, 0, CTL_FROM_CLIENT, m.neighbour.ifindex = 0);
	SPOIL(CTL_RESOLVE, 0, CTL_FROM_CLIENT, m.neighbour.failed = 1);
	SPOIL(CTL_RESOLVED, 0, CTL_FROM_DAEMON, m.neighbour.failed = 2);
	SPOIL(CTL_STATUS_COUNTER, 0, CTL_FROM_DAEMON, memset(m.counter.name, 'x', sizeof(m.counter.name)));
	SPOIL(CTL_STATUS_COUNTER, 0, CTL_FROM_DAEMON, m.counter.where[0] = '\1');
	SPOIL(CTL_ASK, 0, CTL_FROM_CLIENT, m.connect.remote.port = 0);
	SPOIL(CTL_ASKED, 0, CTL_FROM_DAEMON, m.mac.kind = 0);
	SPOIL(CTL_ASKED, 0, CTL_FROM_DAEMON, m.mac.kind = CTL_MAC_KIND_CNT);
	SPOIL(CTL_ASKED, 0, CTL_FROM_DAEMON, m.mac.port_lo = 3);
	SPOIL(CTL_MACS_ENTRY, 0, CTL_FROM_DAEMON, m.mac.ifindex = 0);
	SPOIL(CTL_MACS_ENTRY, 0, CTL_FROM_DAEMON, m.mac.gateway = 2);
	SPOIL(CTL_MACS_ENTRY, 0, CTL_FROM_DAEMON, m.mac.pad = 1);
	SPOIL(CTL_MACS_ENTRY, 0, CTL_FROM_DAEMON, m.mac.name[0] = 7);
	SPOIL(CTL_FIREWALL, 0, CTL_FROM_CLIENT, m.firewall.flags = CTL_FIREWALL_HANDLES + 1);
	SPOIL(CTL_FIREWALL, 0, CTL_FROM_CLIENT, m.firewall.pad = 1);
	SPOIL(CTL_FIREWALL_SHOWN, 1, CTL_FROM_DAEMON, m.firewall.flags = 1);
}

static void refusals_have_texts(void **state)
{
	(void)state;
#define X(name, err, text)                                                             \
	assert_int_equal(ctl_refusal_errno(CTL_REFUSAL_##name), err);                  \
	assert_string_equal(ctl_refusal_text(CTL_REFUSAL_##name), text);               \
	assert_string_equal(ctl_refusal_name(CTL_REFUSAL_##name), #name);
	CTL_REFUSALS(X)
#undef X
	assert_int_equal(ctl_refusal_errno((enum ctl_refusal)9999), EPROTO);
	assert_non_null(ctl_refusal_text((enum ctl_refusal)9999));
	assert_int_equal(ctl_refusal_errno(CTL_REFUSAL_NONE), 0);
}

static void prefixes_fit_or_a_cause_is_told(void **state)
{
	static const char *const good[] = { "2001:db8:1::/64", "fd77::/64", "fd77::100/120", "fec0::/64", "fe00::/96" };
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "10.0.0.0/8", "IPv4" },      { "::ffff:0:0/96", "IPv4" },   { "ff00::/8", "multicast" }, { "ff02::/64", "multicast" },
		{ "fe80::/64", "link-local" }, { "febf::/64", "link-local" }, { "fd77::/63", "length" },   { "fd77::/121", "length" },
		{ "fd77::1/128", "length" },   { "::/0", "length" },	      { "::/64", "unspecified" },  { "::/120", "unspecified" },
		{ "::1:0:0/96", "loopback" },
	};
	struct ip_prefix p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(ip_prefix_parse(good[i], &p), 0);
		assert_null(ctl_prefix_fault(&p));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(ip_prefix_parse(bad[i].text, &p), 0);
		if (ctl_prefix_fault(&p) == NULL || strstr(ctl_prefix_fault(&p), bad[i].why) == NULL)
			fail_msg("%s: %s", bad[i].text, ctl_prefix_fault(&p));
	}
}

static void names_are_made_fit(void **state)
{
	char name[CTL_NAME_MAX];

	(void)state;
	memset(name, 'x', sizeof(name));
	ctl_name_set(name, "a\nb\303\244");
	assert_string_equal(name, "a?b??");
	assert_int_equal(name[CTL_NAME_MAX - 1], 0);
	ctl_name_set(name, "0123456789012345678901234567890123456789");
	assert_string_equal(name, "0123456789012345678901234567890");
	ctl_name_set(name, NULL);
	assert_string_equal(name, "");
}

/* sendmsg()'s view and back, as the kernel would hand it over */
static void packets_carry_descriptors(void **state)
{
	static const int fds[] = { 5, 6, 7 };
	int got[CTL_PACKET_FDS_ROOM];
	struct ctl_packet p;
	struct ctl_msg ret;
	unsigned cnt;

	(void)state;
	ctl_packet_send(&p, &sample_of(CTL_CHANNEL)->msg, fds, 3);
	assert_int_equal(ctl_packet_check(&p, sizeof(ret), CTL_FROM_DAEMON, &ret, got, &cnt), CTL_REFUSAL_NONE);
	assert_int_equal(cnt, 3);
	assert_memory_equal(got, fds, sizeof(fds));

	p.hdr.msg_flags = MSG_CTRUNC;
	assert_int_equal(ctl_packet_check(&p, sizeof(ret), CTL_FROM_DAEMON, &ret, got, &cnt), CTL_REFUSAL_MALFORMED);
	assert_int_equal(cnt, 3); /* to be closed all the same */
	p.hdr.msg_flags = MSG_TRUNC;
	assert_int_equal(ctl_packet_check(&p, sizeof(ret), CTL_FROM_DAEMON, &ret, got, &cnt), CTL_REFUSAL_MALFORMED);

	ctl_packet_send(&p, &sample_of(CTL_STATUS)->msg, NULL, 0);
	assert_int_equal(ctl_packet_check(&p, sizeof(ret), CTL_FROM_CLIENT, &ret, got, &cnt), CTL_REFUSAL_NONE);
	assert_int_equal(cnt, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_has_a_good_message),
		cmocka_unit_test(repairs_are_possible),
		cmocka_unit_test(direction_is_checked),
		cmocka_unit_test(length_is_exact),
		cmocka_unit_test(address_need_not_be_aligned),
		cmocka_unit_test(descriptors_are_counted),
		cmocka_unit_test(unknown_types_are_malformed),
		cmocka_unit_test(only_events_have_no_seq),
		cmocka_unit_test(tail_is_zero),
		cmocka_unit_test(names_are_terminated_and_printable),
		cmocka_unit_test(another_version_may_say_more),
		cmocka_unit_test(fields_are_in_range),
		cmocka_unit_test(fields_of_interfaces_are_in_range),
		cmocka_unit_test(refusals_have_texts),
		cmocka_unit_test(prefixes_fit_or_a_cause_is_told),
		cmocka_unit_test(names_are_made_fit),
		cmocka_unit_test(packets_carry_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
