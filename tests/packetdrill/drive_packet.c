// SPDX-License-Identifier: BSD-2-Clause
/* Packets from text and to text: the dialect is tcpdump's, with sequence numbers from the initial ones on */
#include "tests/packetdrill/drive.h"

#include "base/bits.h"
#include "wire/checksum.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROTO_TCP 6
#define PROTO_UDP 17
#define PROTO_ICMP 1
#define PROTO_ICMP6 58

static const char flag_chars[] = "FSRP.UEW"; /* bits of the TCP header's flags, lowest first */

/* ---- IP -------------------------------------------------------------------------------------- */

static size_t ip_hdr_len(const struct drive_flow *flow)
{
	return flow->v6 ? 40 : 20;
}

static void ip_build(uint8_t *p, bool v6, const uint8_t *src, const uint8_t *dst, uint8_t proto, uint8_t tos, size_t l4_len)
{
	struct be16 sum;

	memset(p, 0, v6 ? 40 : 20);
	if (v6) {
		p[0] = (uint8_t)(0x60 | tos >> 4);
		p[1] = (uint8_t)(tos << 4);
		store_be16(p + 4, (uint16_t)l4_len);
		p[6] = proto;
		p[7] = 64;
		memcpy(p + 8, src, 16);
		memcpy(p + 24, dst, 16);
		return;
	}
	p[0] = 0x45;
	p[1] = tos;
	store_be16(p + 2, (uint16_t)(20 + l4_len));
	p[8] = 64;
	p[9] = proto;
	memcpy(p + 12, src + 12, 4);
	memcpy(p + 16, dst + 12, 4);
	sum = csum_finish(csum_bytes(p, 20));
	memcpy(p + 10, &sum, 2);
}

/* Checksum of what follows the IP header, at @csum in it */
static void l4_csum(uint8_t *p, bool v6, uint8_t proto, size_t len, size_t csum)
{
	size_t hdr = v6 ? 40 : 20;
	struct csum sum = csum_bytes(p + hdr, len);
	struct be16 field;
	uint8_t pseudo[4] = { 0, proto, (uint8_t)(len >> 8), (uint8_t)len };

	if (v6 || proto != PROTO_ICMP) {
		sum = csum_add(sum, csum_bytes(v6 ? p + 8 : p + 12, v6 ? 32 : 8));
		sum = csum_add(sum, csum_bytes(pseudo, 4));
	}
	field = csum_finish(sum);
	memcpy(p + hdr + csum, &field, 2);
}

/* ---- from text ------------------------------------------------------------------------------- */

static size_t build_option(struct drive_flow *flow, const char *opt, uint8_t *p)
{
	unsigned int a, b;
	char text[16];

	if (strcmp(opt, "nop") == 0) {
		p[0] = 1;
		return 1;
	}
	if (strcmp(opt, "sackOK") == 0) {
		memcpy(p, "\4\2", 2);
		return 2;
	}
	if (sscanf(opt, "mss %u", &a) == 1) {
		memcpy(p, "\2\4", 2);
		store_be16(p + 2, (uint16_t)a);
		return 4;
	}
	if (sscanf(opt, "wscale %u", &a) == 1) {
		memcpy(p, "\3\3", 2);
		p[2] = (uint8_t)a;
		return 3;
	}
	if (sscanf(opt, "TS val %u ecr %15s", &a, text) == 2) {
		memcpy(p, "\10\12", 2);
		store_be32(p + 2, a);
		store_be32(p + 6, strcmp(text, "last") == 0 ? flow->ts_last : (uint32_t)strtoul(text, NULL, 10));
		return 10;
	}
	if (strncmp(opt, "FO ", 3) == 0 || strncmp(opt, "FOEXP ", 6) == 0) {
		bool exp = opt[2] == 'E';
		size_t len = exp ? 4 : 2;

		memcpy(p, exp ? "\376\0\371\211" : "\42", exp ? 4 : 1);
		for (const char *hex = strchr(opt, ' ') + 1; sscanf(hex, "%2x", &a) == 1; hex += 2)
			p[len++] = (uint8_t)a;
		p[1] = (uint8_t)len;
		return len;
	}
	if (sscanf(opt, "sack %u:%u", &a, &b) == 2) {
		size_t len = 2;

		for (const char *block = opt + 4; block != NULL; block = strchr(block + 1, ' '), len += 8) {
			if (sscanf(block, " %u:%u", &a, &b) != 2)
				return 0;
			store_be32(p + len, a + flow->local_isn);
			store_be32(p + len + 4, b + flow->local_isn);
		}
		p[0] = 5;
		p[1] = (uint8_t)len;
		return len;
	}
	return 0;
}

/* Return: bytes, a multiple of four; -1: bad text */
static int build_options(struct drive_flow *flow, const char *text, uint8_t *p)
{
	const char *start = strchr(text, '<');
	char copy[256], *rest = NULL;
	size_t len = 0;

	if (start == NULL)
		return 0;
	snprintf(copy, sizeof(copy), "%s", start + 1);
	copy[strcspn(copy, ">")] = '\0';
	for (char *opt = strtok_r(copy, ",", &rest); opt != NULL; opt = strtok_r(NULL, ",", &rest)) {
		size_t one = build_option(flow, opt, p + len);

		if (one == 0)
			return -1;
		len += one;
	}
	while (len % 4 != 0)
		p[len++] = 0;
	return (int)len;
}

static size_t build_tcp(struct drive_flow *flow, const char *text, uint8_t *packet)
{
	uint8_t *tcp = packet + ip_hdr_len(flow), tos = strstr(text, "[ce]") != NULL ? 3 : strstr(text, "[ect0]") != NULL ? 2 : 0;
	unsigned int seq, end, len, ack = 0, win = 0;
	const char *at;
	char flags[16];
	int opts;

	if (sscanf(text, "%15s %u:%u(%u)", flags, &seq, &end, &len) != 4)
		return 0;
	at = strstr(text, "ack ");
	if (at != NULL)
		ack = (unsigned int)strtoul(at + 4, NULL, 10);
	at = strstr(text, "win ");
	if (at != NULL)
		win = (unsigned int)strtoul(at + 4, NULL, 10);
	memset(tcp, 0, 20);
	opts = build_options(flow, text, tcp + 20);
	if (opts < 0)
		return 0;
	store_be16(tcp, flow->rport);
	store_be16(tcp + 2, flow->lport);
	store_be32(tcp + 4, seq + flow->remote_isn);
	for (const char *c = flags; *c != '\0'; c++)
		if (strchr(flag_chars, *c) != NULL)
			tcp[13] |= (uint8_t)(1u << (strchr(flag_chars, *c) - flag_chars));
	if ((tcp[13] & 0x10) != 0)
		store_be32(tcp + 8, ack + flow->local_isn);
	tcp[12] = (uint8_t)((20 + opts) / 4 << 4);
	store_be16(tcp + 14, (uint16_t)win);
	memset(tcp + 20 + opts, 'x', len);
	len += 20u + (unsigned int)opts;
	ip_build(packet, flow->v6, flow->remote, flow->local, PROTO_TCP, tos, len);
	l4_csum(packet, flow->v6, PROTO_TCP, len, 16);
	return ip_hdr_len(flow) + len;
}

static size_t build_udp(struct drive_flow *flow, unsigned int len, uint8_t *packet)
{
	uint8_t *udp = packet + ip_hdr_len(flow);

	store_be16(udp, flow->rport);
	store_be16(udp + 2, flow->lport);
	store_be16(udp + 4, (uint16_t)(8 + len));
	store_be16(udp + 6, 0);
	memset(udp + 8, 'u', len);
	ip_build(packet, flow->v6, flow->remote, flow->local, PROTO_UDP, 0, 8 + len);
	l4_csum(packet, flow->v6, PROTO_UDP, 8 + len, 6);
	return ip_hdr_len(flow) + 8 + len;
}

/* About the last packet with data that left */
static size_t build_icmp(struct drive_flow *flow, const char *what, uint8_t *packet)
{
	size_t hdr = ip_hdr_len(flow);
	uint8_t *icmp = packet + hdr, *quote = icmp + 8, proto = strstr(what, "udp") != NULL ? PROTO_UDP : PROTO_TCP;
	unsigned int mtu = 0;

	memset(icmp, 0, 8);
	icmp[0] = flow->v6 ? 1 : 3;
	if (sscanf(what, "frag %u", &mtu) == 1) {
		icmp[0] = flow->v6 ? 2 : 3;
		icmp[1] = flow->v6 ? 0 : 4;
		if (flow->v6)
			store_be32(icmp + 4, mtu);
		else
			store_be16(icmp + 6, (uint16_t)mtu);
	} else if (strncmp(what, "port", 4) == 0) {
		icmp[1] = flow->v6 ? 4 : 3;
	} else if (strncmp(what, "host", 4) == 0) {
		icmp[1] = flow->v6 ? 3 : 1;
	} else {
		return 0;
	}
	ip_build(quote, flow->v6, flow->local, flow->remote, proto, 0, 1480);
	memset(quote + hdr, 0, 20);
	store_be16(quote + hdr, flow->lport);
	store_be16(quote + hdr + 2, flow->rport);
	store_be32(quote + hdr + 4, proto == PROTO_TCP ? flow->una : 1480u << 16);
	ip_build(packet, flow->v6, flow->remote, flow->local, flow->v6 ? PROTO_ICMP6 : PROTO_ICMP, 0, 8 + hdr + 8);
	l4_csum(packet, flow->v6, flow->v6 ? PROTO_ICMP6 : PROTO_ICMP, 8 + hdr + 8, 2);
	return hdr + 8 + hdr + 8;
}

size_t drive_build(struct drive_flow *flow, const char *text, uint8_t *packet)
{
	unsigned int len;

	if (sscanf(text, "udp %u", &len) == 1)
		return build_udp(flow, len, packet);
	if (strncmp(text, "icmp ", 5) == 0)
		return build_icmp(flow, text + 5, packet);
	return build_tcp(flow, text, packet);
}

/* ---- echo ------------------------------------------------------------------------------------ */

size_t drive_build_echo(const struct drive_flow *flow, uint16_t seq, uint8_t *packet)
{
	uint8_t *icmp = packet + ip_hdr_len(flow);

	memset(icmp, 0, 8);
	icmp[0] = flow->v6 ? 128 : 8;
	store_be16(icmp + 4, 0x766a);
	store_be16(icmp + 6, seq);
	ip_build(packet, flow->v6, flow->remote, flow->local, flow->v6 ? PROTO_ICMP6 : PROTO_ICMP, 0, 8);
	l4_csum(packet, flow->v6, flow->v6 ? PROTO_ICMP6 : PROTO_ICMP, 8, 2);
	return ip_hdr_len(flow) + 8;
}

bool drive_is_echo(const uint8_t *packet, size_t len, uint16_t seq)
{
	bool v6 = packet[0] >> 4 == 6;
	size_t hdr = v6 ? 40 : 20;

	return len >= hdr + 8 && packet[v6 ? 6 : 9] == (v6 ? PROTO_ICMP6 : PROTO_ICMP) &&
	       packet[hdr] == (v6 ? 129 : 0) && load_be16(packet + hdr + 4) == 0x766a &&
	       load_be16(packet + hdr + 6) == seq;
}

/* ---- to text --------------------------------------------------------------------------------- */

struct out {
	char *text;
	size_t room, len;
};

static __attribute__((format(printf, 2, 3))) void out_add(struct out *out, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(out->text + out->len, out->room - out->len, fmt, args);
	va_end(args);
	out->len = min_size(out->len + (size_t)(n > 0 ? n : 0), out->room - 1);
}

static void format_option(struct drive_flow *flow, struct out *out, const uint8_t *opt)
{
	switch (opt[0]) {
	case 2:
		out_add(out, "mss %u", load_be16(opt + 2));
		break;
	case 3:
		out_add(out, "wscale %u", opt[2]);
		break;
	case 4:
		out_add(out, "sackOK");
		break;
	case 5:
		out_add(out, "sack");
		for (unsigned int at = 2; at + 8 <= opt[1]; at += 8)
			out_add(out, " %u:%u", load_be32(opt + at) - flow->remote_isn,
				load_be32(opt + at + 4) - flow->remote_isn);
		break;
	case 8:
		flow->ts_last = load_be32(opt + 2);
		out_add(out, "TS ecr %u", load_be32(opt + 6));
		break;
	case 34:
	case 254:
		out_add(out, opt[0] == 34 ? "FO " : "FOEXP ");
		for (unsigned int at = opt[0] == 34 ? 2 : 4; at < opt[1]; at++)
			out_add(out, "%02x", opt[at]);
		break;
	default:
		out_add(out, "option %u", opt[0]);
	}
}

static void format_options(struct drive_flow *flow, struct out *out, const uint8_t *tcp, size_t hdr_len)
{
	for (size_t at = 20; at < hdr_len; at += tcp[at] <= 1 ? 1 : tcp[at + 1]) {
		out_add(out, at == 20 ? " <" : ",");
		if (tcp[at] <= 1)
			out_add(out, tcp[at] == 0 ? "eol" : "nop");
		else
			format_option(flow, out, tcp + at);
		if (tcp[at] > 1 && tcp[at + 1] < 2)
			break;
	}
	if (hdr_len > 20)
		out_add(out, ">");
}

static void format_tcp(struct drive_flow *flow, struct out *out, const uint8_t *tcp, size_t len, uint8_t tos)
{
	size_t hdr_len = (size_t)(tcp[12] >> 4) * 4;
	uint32_t seq = load_be32(tcp + 4), payload = (uint32_t)(len - hdr_len);
	uint8_t flags = tcp[13];

	if ((flags & 2) != 0 && !flow->isn_known) {
		flow->isn_known = true;
		flow->local_isn = seq;
		flow->lport = load_be16(tcp);
	}
	if (payload != 0 || (flags & 2) != 0)
		flow->una = seq;
	for (int i = 0; i < 8; i++)
		if ((flags >> i & 1) != 0 && i != 4)
			out_add(out, "%c", flag_chars[i]);
	out_add(out, (flags & 0x10) != 0 ? ". " : " ");
	seq -= flow->local_isn;
	out_add(out, "%u:%u(%u)", seq, seq + payload, payload);
	if ((flags & 0x10) != 0)
		out_add(out, " ack %u", load_be32(tcp + 8) - flow->remote_isn);
	out_add(out, " win %u", load_be16(tcp + 14));
	format_options(flow, out, tcp, hdr_len);
	if ((tos & 3) != 0)
		out_add(out, (tos & 3) == 3 ? " [ce]" : (tos & 3) == 2 ? " [ect0]" : " [ect1]");
}

void drive_format(struct drive_flow *flow, const uint8_t *packet, size_t len, char *text, size_t room)
{
	bool v6 = packet[0] >> 4 == 6;
	size_t hdr = v6 ? 40 : 20;
	uint8_t proto = packet[v6 ? 6 : 9];
	uint8_t tos = (uint8_t)(v6 ? packet[0] << 4 | packet[1] >> 4 : packet[1]);
	struct out out = { text, room, 0 };

	text[0] = '\0';
	if (v6)
		memcpy(flow->local, packet + 8, 16);
	else
		memcpy(flow->local + 12, packet + 12, 4);
	if (proto == PROTO_TCP)
		format_tcp(flow, &out, packet + hdr, len - hdr, tos);
	else if (proto == PROTO_UDP) {
		flow->lport = load_be16(packet + hdr);
		out_add(&out, "udp %zu", len - hdr - 8);
	} else
		out_add(&out, "icmp %u/%u", packet[hdr], packet[hdr + 1]);
}

bool drive_match(const char *want, const char *have)
{
	char copy[512];
	const char *at;
	char *cut;

	snprintf(copy, sizeof(copy), "%s", have);
	at = strstr(want, "win ");
	cut = strstr(copy, " win ");
	if (at == NULL && cut != NULL) {
		size_t len = 5 + strspn(cut + 5, "0123456789");

		memmove(cut, cut + len, strlen(cut + len) + 1);
	}
	/* options are compared if there are any in the play */
	cut = strstr(copy, " <");
	if (strchr(want, '<') == NULL && cut != NULL) {
		char *end = strchr(cut, '>');

		memmove(cut, end + 1, strlen(end + 1) + 1);
	}
	return strcmp(want, copy) == 0;
}
