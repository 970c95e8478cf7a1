/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checks of control messages, all driven by the tables of msg.h. Pure: bytes in, verdict out.
 */
#include "control/msg.h"

#include <errno.h>
#include <string.h>

#define CHANNEL_REASON_CNT (0 VJ_CHANNEL_ERRORS(PLUS_ONE))
#define PLUS_ONE(name, text) +1

static bool zero(const void *p, size_t bytes)
{
	const uint8_t *b = p;
	uint8_t any = 0;

	for (size_t i = 0; i < bytes; i++)
		any |= b[i];
	return any == 0;
}

static bool name_ok(const char name[static CTL_NAME_MAX])
{
	size_t len = 0;

	while (len < CTL_NAME_MAX && name[len] >= 0x20 && name[len] <= 0x7e)
		len++;
	return len < CTL_NAME_MAX && zero(name + len, CTL_NAME_MAX - len);
}

static bool proto_ok(uint8_t proto)
{
	return proto == CTL_PROTO_TCP || proto == CTL_PROTO_UDP || proto == CTL_PROTO_RAW;
}

static bool endpoint_ok(const struct ctl_endpoint *ep)
{
	return ep->port != 0 && proto_ok(ep->proto) && zero(ep->pad, sizeof(ep->pad));
}

static bool none_ok(const struct ctl_msg *m)
{
	return zero(&m->none, sizeof(m->none));
}

static bool hello_ok(const struct ctl_msg *m)
{
	const struct ctl_hello *h = &m->hello;

	if (!name_ok(h->name) || !name_ok(h->release))
		return false;
	return h->version != CTL_VERSION ||
	       ((h->flags & ~(uint32_t)CTL_HELLO_OBSERVER) == 0 && h->pad == 0);
}

static bool welcome_ok(const struct ctl_msg *m)
{
	const struct ctl_welcome *w = &m->welcome;

	return w->version == CTL_VERSION && w->app_id != 0 && w->private_mode <= 1 && w->pad == 0 &&
	       w->pad2 == 0 && name_ok(w->release);
}

static bool lease_ok(const struct ctl_msg *m)
{
	const struct ctl_lease *l = &m->lease;

	if (l->pad != 0 || (l->flags & ~(uint32_t)(CTL_LEASE_REUSEPORT | CTL_LEASE_V6ONLY | CTL_LEASE_LOCAL)) != 0)
		return false;
	if (m->type == CTL_RELEASE)
		return l->id != 0;
	if (!endpoint_ok(&l->local))
		return false;
	return m->type == CTL_LEASE ? l->id == 0 && l->app_id == 0 : l->id != 0;
}

static bool has_ports(uint8_t proto)
{
	return proto == CTL_PROTO_TCP || proto == CTL_PROTO_UDP;
}

static bool block_ok(uint16_t first, uint16_t cnt)
{
	return cnt >= 1 && cnt <= CTL_PORTS_MAX && first + cnt <= 65536;
}

static bool ports_ok(const struct ctl_msg *m)
{
	const struct ctl_ports *p = &m->ports;

	return has_ports(p->proto) && zero(p->pad, sizeof(p->pad)) && block_ok(p->first, p->cnt) && (m->type == CTL_PORTS || p->first != 0);
}

static bool connect_ok(const struct ctl_msg *m)
{
	const struct ctl_connect *c = &m->connect;
	uint16_t ports_max = m->type == CTL_CONNECT && has_ports(c->remote.proto) ? CTL_PORTS_MAX : 0;

	return endpoint_ok(&c->remote) && c->ports <= ports_max && c->pad == 0;
}

static bool channel_ports_ok(const struct ctl_msg *m)
{
	const struct ctl_channel *c = &m->channel;

	if (c->ports_cnt == 0)
		return c->ports_first == 0;
	return m->type == CTL_CONNECTED && has_ports(c->proto) && c->ports_first != 0 && block_ok(c->ports_first, c->ports_cnt);
}

static bool channel_ok(const struct ctl_msg *m)
{
	const struct ctl_channel *c = &m->channel;

	return (c->id != 0) == (m->type != CTL_HOLD) && c->end <= 1 && proto_ok(c->proto) &&
	       (c->proto == CTL_PROTO_RAW) == (c->port != 0) && c->copied <= (c->owners > 1) && c->instead <= c->copied &&
	       (c->owners == 0 || m->type == CTL_CONNECTED) && channel_ports_ok(m) && c->pad == 0 && name_ok(c->peer_name);
}

static bool close_ok(const struct ctl_msg *m)
{
	return m->close.channel_id != 0 && m->close.reason < CHANNEL_REASON_CNT;
}

static bool app_ok(const struct ctl_msg *m)
{
	return m->app.id != 0 && zero(m->app.pad, sizeof(m->app.pad)) && name_ok(m->app.name);
}

static bool daemon_ok(const struct ctl_msg *m)
{
	const struct ctl_daemon *d = &m->daemon;

	return d->private_mode <= 1 && d->pad == 0 && name_ok(d->release) && name_ok(d->last_name);
}

static bool refused_ok(const struct ctl_msg *m)
{
	/* a later vjd may know more reasons; the number is passed on, and has no text here */
	return m->refused.refusal != CTL_REFUSAL_NONE && m->refused.pad == 0 &&
	       name_ok(m->refused.release);
}

static bool power_of_two_or_0(uint32_t v)
{
	return (v & (v - 1)) == 0;
}

static bool rings_ok(const struct ctl_interface *i)
{
	return power_of_two_or_0(i->frame_bytes) && power_of_two_or_0(i->frame_cnt) && power_of_two_or_0(i->rx_cnt) &&
	       power_of_two_or_0(i->tx_cnt) && power_of_two_or_0(i->fill_cnt) && power_of_two_or_0(i->comp_cnt);
}

static bool interface_ok(const struct ctl_msg *m)
{
	const struct ctl_interface *i = &m->interface;

	if (!name_ok(i->name) || !rings_ok(i) || i->macs >= CTL_MACS_CNT || i->prefix_len > 128 ||
	    (i->flags & ~(uint32_t)(CTL_INTERFACE_GONE | CTL_INTERFACE_ZERO_COPY | CTL_INTERFACE_TC |
				    CTL_INTERFACE_RULES | CTL_INTERFACE_POLLING | CTL_INTERFACE_GATEWAY | CTL_INTERFACE_LEAVING)) != 0)
		return false;
	if ((i->flags & CTL_INTERFACE_LEAVING) != 0 && m->type != CTL_INTERFACE_NEWS)
		return false;
	if ((i->given != 0 || i->silent != 0) && m->type != CTL_DETACHED)
		return false;
	if (i->ended != 0 && m->type != CTL_DETACHED && m->type != CTL_INTERFACE_LEFT)
		return false;
	if (i->prefix_len != 0 && (m->type == CTL_INTERFACE || m->type == CTL_INTERFACE_OPEN || m->type == CTL_POLLING || m->type == CTL_DETACH))
		return false;
	if (m->type == CTL_ATTACH || m->type == CTL_DETACH)
		return i->name[0] != '\0' && (i->flags == 0 || i->flags == CTL_INTERFACE_TC || i->flags == CTL_INTERFACE_GATEWAY);
	if (m->type == CTL_INTERFACE_OPEN)
		return i->ifindex != 0 && i->frame_bytes != 0 && i->frame_cnt != 0 && i->rx_cnt != 0 && i->tx_cnt != 0 &&
		       i->fill_cnt != 0 && i->comp_cnt != 0;
	return i->ifindex != 0;
}

static bool neighbour_ok(const struct ctl_msg *m)
{
	return m->neighbour.ifindex != 0 && m->neighbour.failed <= (m->type == CTL_RESOLVED);
}

static bool counter_ok(const struct ctl_msg *m)
{
	return m->counter.ifindex != 0 && name_ok(m->counter.where) && name_ok(m->counter.name);
}

static bool report_ok(const struct ctl_msg *m)
{
	return m->report.app_id != 0;
}

static bool reported_ok(const struct ctl_msg *m)
{
	const struct ctl_reported *r = &m->reported;

	return r->record_bytes >= 1 && r->record_bytes <= CTL_REPORT_RECORD_MAX &&
	       r->record_cnt <= CTL_REPORT_RECORDS_MAX && r->pad == 0;
}

static bool join_ok(const struct ctl_msg *m)
{
	return m->join.app_id != 0 && m->join.pid > 0;
}

static bool mac_ok(const struct ctl_msg *m)
{
	const struct ctl_mac *c = &m->mac;

	return c->ifindex != 0 && c->kind >= 1 && c->kind < CTL_MAC_KIND_CNT && c->port_lo <= c->port_hi &&
	       c->gateway <= 1 && c->pad == 0 && name_ok(c->name);
}

static bool firewall_ok(const struct ctl_msg *m)
{
	return m->firewall.flags <= (m->type == CTL_FIREWALL ? CTL_FIREWALL_HANDLES : 0) && m->firewall.pad == 0;
}

static bool brief_ok(const struct ctl_msg *m)
{
	return m->brief.parent > 0;
}

/* Could this be an end of a connection between hosts? */
static bool repair_addr_ok(const struct ip_addr *addr)
{
	return !ip_addr_is_any(addr) && !ip_addr_is_loopback(addr) && !ip_addr_is_multicast(addr);
}

static bool repair_queues_ok(const struct ctl_repair *r)
{
	return r->rcv_bytes <= CTL_REPAIR_QUEUE_MAX && r->snd_bytes <= CTL_REPAIR_QUEUE_MAX && r->sent_bytes <= r->snd_bytes &&
	       r->rcv_seq + r->rcv_bytes - r->rcv_acked <= CTL_REPAIR_WINDOW_MAX && r->rcv_wnd <= CTL_REPAIR_WINDOW_MAX &&
	       r->rcv_seq + r->rcv_bytes - r->rcv_acked <= r->rcv_wnd && r->snd_wnd <= CTL_REPAIR_WINDOW_MAX;
}

static bool repair_ok(const struct ctl_msg *m)
{
	const struct ctl_repair *r = &m->repair;
	struct ip_addr local = ip_addr_from_v6(r->local), remote = ip_addr_from_v6(r->remote);

	if (r->ifindex == 0 || r->local_port == 0 || r->remote_port == 0 ||
	    (r->flags & ~(uint32_t)(CTL_REPAIR_SOCK6 | CTL_REPAIR_SACK | CTL_REPAIR_TIMESTAMPS | CTL_REPAIR_FIN | CTL_REPAIR_FIN_SENT |
				    CTL_REPAIR_FIN_ACKED | CTL_REPAIR_FIN_RCVD)) != 0)
		return false;
	if ((r->flags & CTL_REPAIR_FIN_SENT) != 0 && ((r->flags & CTL_REPAIR_FIN) == 0 || r->sent_bytes != r->snd_bytes))
		return false;
	if ((r->flags & CTL_REPAIR_FIN_ACKED) != 0 && ((r->flags & CTL_REPAIR_FIN_SENT) == 0 || r->snd_bytes != 0))
		return false;
	if (!repair_addr_ok(&local) || !repair_addr_ok(&remote) || ip_addr_is_v4(&local) != ip_addr_is_v4(&remote) ||
	    (!ip_addr_is_v4(&local) && (r->flags & CTL_REPAIR_SOCK6) == 0))
		return false;
	return repair_queues_ok(r) && r->mss >= CTL_REPAIR_MSS_MIN && r->snd_wscale <= CTL_REPAIR_WSCALE_MAX &&
	       r->rcv_wscale <= CTL_REPAIR_WSCALE_MAX;
}

enum origin { CLIENT, DAEMON, EVENT };

/* No pointers here and in `refusals`: they would be relocated in each process that begins with the library in it. */
struct shape {
	char name[20];
	uint8_t origin; /* enum origin */
	uint8_t fds_min, fds_max;
	uint8_t body_bytes;
};

static const struct shape shapes[] = {
#define X(name, nr, from, fds_min, fds_max, body) [nr] = { #name, from, fds_min, fds_max, sizeof(((struct ctl_msg *)0)->body) },
	CTL_MESSAGES(X)
#undef X
};

static const struct shape *shape_of(uint32_t type)
{
	return type < ARRAY_SIZE(shapes) && shapes[type].name[0] != '\0' ? &shapes[type] : NULL;
}

static bool body_ok(const struct ctl_msg *m)
{
	switch (m->type) {
#define X(name, nr, from, fds_min, fds_max, body) \
	case nr:                                  \
		return body##_ok(m);
		CTL_MESSAGES(X)
#undef X
	default:
		return false;
	}
}

static bool fd_cnt_ok(const struct shape *s, unsigned fd_cnt)
{
	/* where the table gives a choice it is all or nothing */
	return fd_cnt == s->fds_min || fd_cnt == s->fds_max;
}

static bool seq_ok(const struct ctl_msg *m, const struct shape *s)
{
	if (s->origin == EVENT)
		return m->seq == 0;
	/* what can't be read has no seq to repeat */
	return m->seq != 0 || m->type == CTL_REFUSED;
}

/* From another version: may use what is unused here. */
static bool foreign(const struct ctl_msg *m)
{
	return (m->type == CTL_HELLO && m->hello.version != CTL_VERSION) ||
	       (m->type == CTL_REFUSED && m->refused.refusal == CTL_REFUSAL_VERSION);
}

enum ctl_refusal ctl_check(const void *p, size_t len, unsigned fd_cnt, enum ctl_from from,
			   struct ctl_msg *ret_msg)
{
	const struct shape *s;
	struct ctl_msg m;

	if (len != sizeof(m))
		return CTL_REFUSAL_MALFORMED;
	memcpy(&m, p, sizeof(m));
	s = shape_of(m.type);
	if (s == NULL || (s->origin == CLIENT) != (from == CTL_FROM_CLIENT))
		return CTL_REFUSAL_MALFORMED;
	if (!fd_cnt_ok(s, fd_cnt) || !seq_ok(&m, s) || !body_ok(&m))
		return CTL_REFUSAL_MALFORMED;
	if (!foreign(&m) && !zero(m.bytes + s->body_bytes, sizeof(m.bytes) - s->body_bytes))
		return CTL_REFUSAL_MALFORMED;
	*ret_msg = m;
	return CTL_REFUSAL_NONE;
}

struct refusal_row {
	char name[24];
	char text[128];
	int err;
};

static const struct refusal_row refusals[] = { [CTL_REFUSAL_NONE] = { "NONE", "not refused", 0 },
#define X(name, err, text) [CTL_REFUSAL_##name] = { #name, text, err },
					       CTL_REFUSALS(X)
#undef X
};

static const struct refusal_row *refusal_row(enum ctl_refusal r)
{
	static const struct refusal_row unknown = {
		"?", "refused for a reason that this version doesn't know", EPROTO
	};

	return (uint32_t)r < ARRAY_SIZE(refusals) ? &refusals[r] : &unknown;
}

int ctl_refusal_errno(enum ctl_refusal r)
{
	return refusal_row(r)->err;
}

const char *ctl_refusal_text(enum ctl_refusal r)
{
	return refusal_row(r)->text;
}

const char *ctl_prefix_fault(const struct ip_prefix *prefix)
{
	const struct ip_addr *addr = &prefix->addr;

	if (ip_addr_is_v4(addr))
		return "it is of IPv4; addresses of applications are of IPv6";
	if (ip_addr_is_multicast(addr))
		return "it is of groups (multicast)";
	if (ip_addr_is_link_local(addr))
		return "it is link-local, and other networks have the same";
	if (prefix->len < CTL_PREFIX_LEN_MIN || prefix->len > CTL_PREFIX_LEN_MAX)
		return "its length has to be /64 to /120";
	if (load_u64(addr->bytes) == 0)
		return "it is of no network: there are the unspecified address, loopback's and those of IPv4";
	return NULL;
}

const char *ctl_refusal_name(enum ctl_refusal r)
{
	return refusal_row(r)->name;
}

const char *ctl_type_name(uint32_t type)
{
	const struct shape *s = shape_of(type);

	return s != NULL ? s->name : "?";
}

unsigned ctl_type_fds_max(uint32_t type)
{
	const struct shape *s = shape_of(type);

	return s != NULL ? s->fds_max : 0;
}

bool ctl_type_is_event(uint32_t type)
{
	const struct shape *s = shape_of(type);

	return s != NULL && s->origin == EVENT;
}

VJ_EARLY void ctl_name_set(char dst[static CTL_NAME_MAX], const char *src)
{
	size_t i = 0;

	for (; src != NULL && src[i] != '\0' && i < CTL_NAME_MAX - 1; i++)
		dst[i] = src[i] >= 0x20 && src[i] <= 0x7e ? src[i] : '?';
	memset(dst + i, 0, CTL_NAME_MAX - i);
}
