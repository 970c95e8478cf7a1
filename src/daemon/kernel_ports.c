// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/kernel_ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESERVED "/proc/sys/net/ipv4/ip_local_reserved_ports"

enum {
	PORTS = 65536,
	TEXT_MAX = 4000, /* the kernel reads a page of it */
	ANSWER_BYTES = 32768,
};

/* ---- looking */

static int mark(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	uint16_t port = ntohs(m->id.idiag_sport);
	bool *used = arg;

	if (port >= PORT_FIRST && port < PORT_END)
		used[(port - PORT_FIRST) / PORT_UNIT] = true;
	return MNL_CB_OK;
}

/* What to look for. @code: of inet_diag's filter, @code_bytes long; 0: all */
struct look {
	uint32_t states;
	const void *code; /* of INET_DIAG_REQ_BYTECODE */
	size_t code_bytes;
	mnl_cb_t fn;
	void *arg;
};

static int dump(struct mnl_socket *sock, uint8_t family, uint8_t proto, const struct look *look)
{
	_Alignas(struct nlmsghdr) char request[256];
	char answer[ANSWER_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(request);
	struct inet_diag_req_v2 *req;
	int r;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = family;
	req->sdiag_protocol = proto;
	req->idiag_states = look->states;
	if (look->code_bytes > 0)
		mnl_attr_put(nlh, INET_DIAG_REQ_BYTECODE, look->code_bytes, look->code);
	if (mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t n = mnl_socket_recvfrom(sock, answer, sizeof(answer));

		if (n < 0)
			return -errno;
		r = mnl_cb_run(answer, (size_t)n, 0, 0, look->fn, look->arg);
	} while (r > MNL_CB_STOP);
	return r < 0 ? -errno : 0;
}

static int look_at(uint8_t proto, const struct look *look)
{
	struct mnl_socket *sock = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	int r;

	if (sock == NULL)
		return -errno;
	r = mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0 ? -errno : 0;
	if (r == 0)
		r = dump(sock, AF_INET, proto, look);
	if (r == 0)
		r = dump(sock, AF_INET6, proto, look);
	mnl_socket_close(sock);
	return r;
}

int kernel_ports_look(uint8_t proto, bool *ret_used)
{
	memset(ret_used, 0, PORT_UNIT_CNT * sizeof(*ret_used));
	return look_at(proto, &(struct look){ .states = ~0u, .fn = mark, .arg = ret_used });
}

/* States of sockets that a packet from elsewhere would find. */
#define CONNECTED (~(1u << TCP_CLOSE | 1u << TCP_LISTEN | 1u << TCP_TIME_WAIT))

static int say_yes(const struct nlmsghdr *nlh, void *arg)
{
	(void)nlh;
	*(bool *)arg = true;
	return MNL_CB_OK;
}

int kernel_ports_connected(uint16_t port, bool *ret_any)
{
	/* two comparisons, each of two words: where to go on if it holds, and if not: beyond the end */
	const struct inet_diag_bc_op code[] = {
		{ .code = INET_DIAG_BC_S_GE, .yes = 8, .no = 20 }, { .no = port },
		{ .code = INET_DIAG_BC_S_LE, .yes = 8, .no = 12 }, { .no = port },
	};
	bool any = false;
	int r = look_at(IPPROTO_TCP, &(struct look){ CONNECTED, code, sizeof(code), say_yes, &any });

	if (r == 0)
		*ret_any = any;
	return r;
}

struct beyond {
	const struct host_image *host;
	bool any;
};

static int say_beyond(const struct nlmsghdr *nlh, void *arg)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(nlh);
	struct ip_addr remote = ip_addr_from_v6(m->id.idiag_dst);
	struct beyond *b = arg;

	b->any |= !ip_addr_is_loopback(&remote) && !host_image_has(b->host, &remote);
	return MNL_CB_OK;
}

int kernel_ports_connected_at(const struct ip_addr *addr, const struct host_image *host, bool *ret_any)
{
	/* the condition, its address behind it */
	uint8_t code[sizeof(struct inet_diag_bc_op) + sizeof(struct inet_diag_hostcond) + sizeof(*addr)];
	const struct inet_diag_bc_op op = { .code = INET_DIAG_BC_S_COND, .yes = sizeof(code), .no = sizeof(code) + 4 };
	const struct inet_diag_hostcond cond = { .family = AF_INET6, .prefix_len = 128, .port = -1 };
	struct beyond b = { .host = host };
	int r;

	memcpy(code, &op, sizeof(op));
	memcpy(code + sizeof(op), &cond, sizeof(cond));
	memcpy(code + sizeof(op) + sizeof(cond), addr, sizeof(*addr));
	r = look_at(IPPROTO_TCP, &(struct look){ CONNECTED, code, sizeof(code), say_beyond, &b });
	if (r == 0)
		*ret_any = b.any;
	return r;
}

/* ---- reserving */

/* "80,8000-8010": what isn't understood is left out. */
static void parse(const char *text, bool *ports)
{
	while (*text != '\0') {
		char *end;
		unsigned long from = strtoul(text, &end, 10), to = from;

		if (end == text) {
			text++;
			continue;
		}
		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		for (unsigned long p = from; p <= to && p < PORTS; p++)
			ports[p] = true;
		text = end;
	}
}

/* Return: length; -E2BIG */
static int format(const bool *ports, char text[static TEXT_MAX + 16])
{
	int len = 0;

	text[0] = '\0';
	for (unsigned p = 0; p < PORTS; p++) {
		unsigned from = p;

		if (!ports[p])
			continue;
		while (p + 1 < PORTS && ports[p + 1])
			p++;
		len += snprintf(text + len, 16, "%s%u-%u", len > 0 ? "," : "", from, p);
		if (len > TEXT_MAX)
			return -E2BIG;
	}
	text[len++] = '\n'; /* an empty list is a line, too */
	return len;
}

static void read_list(const char *path, bool *ports)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	parse(text, ports);
}

static int write_list(const char *path, const bool *ports)
{
	char text[TEXT_MAX + 16];
	int len = format(ports, text), fd, r = 0;

	if (len < 0)
		return len;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)len) != len)
		r = -errno;
	close(fd);
	return r;
}

/* The record is written before what it records, and says more rather than less while the two differ. */
int kernel_ports_reserve(const char *record, const bool *units)
{
	static bool reserved[PORTS], ours[PORTS], both[PORTS];
	bool any = false;
	int r;

	memset(reserved, 0, sizeof(reserved));
	memset(both, 0, sizeof(both));
	memset(ours, 0, sizeof(ours));
	read_list(RESERVED, reserved);
	read_list(record, both);
	for (unsigned p = 0; p < PORTS; p++) {
		ours[p] = p >= PORT_FIRST && p < PORT_END && units[(p - PORT_FIRST) / PORT_UNIT];
		reserved[p] = (reserved[p] && !both[p]) || ours[p];
		both[p] = both[p] || ours[p];
		any |= ours[p];
	}
	r = write_list(record, both);
	if (r == 0)
		r = write_list(RESERVED, reserved);
	if (r < 0)
		return r;
	if (any)
		return write_list(record, ours);
	unlink(record);
	return 0;
}
