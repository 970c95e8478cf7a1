// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_poll.h"

#include "base/genl.h"
#include "daemon/netns.h"
#include "daemon/offload.h"
#include "daemon/rtnl.h"
#include "wire/checksum.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Newer than the headers may be. */
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#define SO_BUSY_POLL_BUDGET 70
#endif

/* linux/netdev.h of 6.13 */
enum {
	NETDEV_CMD_NAPI_SET = 14,
	NETDEV_A_NAPI_ID = 2,
	NETDEV_A_NAPI_DEFER_HARD_IRQS = 5,
	NETDEV_A_NAPI_GRO_FLUSH_TIMEOUT = 6,
};

enum { PROBES_MAX = 3, PROBE_WAIT_MS = 5, BUDGET = 64 };

/* ---- the socket */

struct there {
	uint32_t ifindex;
	int fd;
	struct be16 port;
};

static int set_int(int fd, int name, int value)
{
	return setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)) == 0 ? 0 : -errno;
}

/* Bound to the device, for good: who has no privilege can't bind it to another one. */
static int open_there(void *arg)
{
	struct there *t = arg;
	struct sockaddr_in any = { .sin_family = AF_INET };
	socklen_t bytes = sizeof(any);
	char name[IF_NAMESIZE] = "";
	int r;

	t->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd < 0 || if_indextoname(t->ifindex, name) == NULL)
		return -errno;
	if (setsockopt(t->fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) != 0 ||
	    bind(t->fd, (const struct sockaddr *)&any, bytes) != 0 ||
	    getsockname(t->fd, (struct sockaddr *)&any, &bytes) != 0)
		return -errno;
	t->port = (struct be16){ any.sin_port };
	r = set_int(t->fd, SO_BUSY_POLL, 1);
	if (r == 0)
		r = set_int(t->fd, SO_PREFER_BUSY_POLL, 1);
	if (r == 0)
		r = set_int(t->fd, SO_BUSY_POLL_BUDGET, BUDGET);
	/* there is no poll without it, or a program */
	return r == 0 ? offload_set(t->fd, t->ifindex, ETHTOOL_SGRO, true) : r;
}

/* From nobody to everybody on the wire, as a host without an address says it: no route is needed for that. */
struct probe {
	uint8_t to[6], from[6];
	struct be16 type;
	uint8_t ip[20], udp[8];
};

static struct probe probe_to(struct be16 port)
{
	struct be16 sum;
	struct probe p = {
		.to = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
		.from = { 2 },
		.type = be16(ETHERTYPE_IP),
		.ip = { [0] = 0x45, [3] = sizeof(p.ip) + sizeof(p.udp), [8] = 1, [9] = IPPROTO_UDP, [16] = 255, 255, 255, 255 },
		.udp = { [1] = 9, [5] = sizeof(p.udp) }, /* from the port of nothing; without a checksum */
	};

	memcpy(p.udp + 2, &port, sizeof(port));
	sum = csum_finish(csum_bytes(p.ip, sizeof(p.ip)));
	memcpy(p.ip + 10, &sum, sizeof(sum));
	return p;
}

/* A veth has what a device with TSO sends go by the processor's own poll; the program will take that off, too. */
static int send_probe(int packet_fd, uint32_t host_ifindex, struct be16 port)
{
	const struct probe probe = probe_to(port);
	const struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)host_ifindex, .sll_halen = 6 };
	int r = offload_set(packet_fd, host_ifindex, ETHTOOL_STSO, false);

	if (r == 0 && sendto(packet_fd, &probe, sizeof(probe), 0, (const struct sockaddr *)&to, sizeof(to)) < 0)
		r = -errno;
	return r;
}

/* Return: the poll that the datagram came by */
static int learn(const struct there *t, int packet_fd, uint32_t host_ifindex, uint32_t *ret_napi_id)
{
	struct pollfd pfd = { .fd = t->fd, .events = POLLIN };
	socklen_t bytes = sizeof(*ret_napi_id);
	uint8_t data[1];
	int r = 0;

	for (unsigned i = 0; i < PROBES_MAX && r == 0; i++) {
		r = send_probe(packet_fd, host_ifindex, t->port);
		if (r == 0)
			r = poll(&pfd, 1, PROBE_WAIT_MS) < 0 ? -errno : pfd.revents;
	}
	if (r <= 0)
		return r < 0 ? r : -ETIMEDOUT;
	while (recv(t->fd, data, sizeof(data), MSG_DONTWAIT) >= 0)
		;
	if (getsockopt(t->fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, ret_napi_id, &bytes) != 0)
		return -errno;
	return *ret_napi_id != 0 ? 0 : -EOPNOTSUPP;
}

int if_poll_open(int netns_fd, int packet_fd, uint32_t host_ifindex, uint32_t app_ifindex, struct if_poll *ret_poll)
{
	struct there t = { .ifindex = app_ifindex, .fd = -1 };
	int r = netns_do(netns_fd, open_there, &t);

	*ret_poll = (struct if_poll){ .fd = -1 };
	if (r == 0)
		r = learn(&t, packet_fd, host_ifindex, &ret_poll->napi_id);
	/* can it be told, later, that the application polls? */
	if (r == 0)
		r = if_poll_set(netns_fd, ret_poll->napi_id, 0);
	if (r < 0) {
		if (t.fd >= 0)
			close(t.fd);
		if_poll_ready(netns_fd, app_ifindex);
		ret_poll->napi_id = 0;
		return r;
	}
	ret_poll->fd = t.fd;
	return 0;
}

static int gro_off_there(void *arg)
{
	const struct there *t = arg;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = fd < 0 ? -errno : offload_set(fd, t->ifindex, ETHTOOL_SGRO, false);

	if (fd >= 0)
		close(fd);
	return r;
}

int if_poll_ready(int netns_fd, uint32_t app_ifindex)
{
	struct there t = { .ifindex = app_ifindex };

	return netns_do(netns_fd, gro_off_there, &t);
}

/* ---- who polls? */

static int open_generic(void *arg)
{
	return rtnl_open_bus(NETLINK_GENERIC, arg);
}

static int set_napi(struct rtnl *nl, uint32_t napi_id, uint32_t defer_ns)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh;
	uint16_t family = 0;
	int r = rtnl_call(nl, genl_family_msg(buf, "netdev"), genl_take_family, &family);

	if (r < 0)
		return r;
	nlh = genl_msg(buf, family, NETDEV_CMD_NAPI_SET);
	mnl_attr_put_u32(nlh, NETDEV_A_NAPI_ID, napi_id);
	mnl_attr_put_u32(nlh, NETDEV_A_NAPI_DEFER_HARD_IRQS, defer_ns != 0);
	mnl_attr_put_u32(nlh, NETDEV_A_NAPI_GRO_FLUSH_TIMEOUT, defer_ns);
	return rtnl_call(nl, nlh, NULL, NULL);
}

int if_poll_set(int netns_fd, uint32_t napi_id, uint32_t defer_ns)
{
	struct rtnl nl = { .sock = NULL };
	int r = netns_do(netns_fd, open_generic, &nl);

	if (r == 0)
		r = set_napi(&nl, napi_id, defer_ns);
	rtnl_close(&nl);
	return r;
}
