// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/rtnl.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/veth.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>

enum { REQUEST_BYTES = 1024, ANSWER_BYTES = 32768 };

int rtnl_open_bus(int bus, struct rtnl *ret_rtnl)
{
	struct mnl_socket *sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int one = 1;

	if (sock == NULL)
		return -errno;
	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = errno;

		mnl_socket_close(sock);
		return -err;
	}
	/* the answer names what was wrong, not the whole request again */
	mnl_socket_setsockopt(sock, NETLINK_CAP_ACK, &one, sizeof(one));
	*ret_rtnl = (struct rtnl){ .sock = sock };
	return 0;
}

int rtnl_open(struct rtnl *ret_rtnl)
{
	return rtnl_open_bus(NETLINK_ROUTE, ret_rtnl);
}

void rtnl_close(struct rtnl *rtnl)
{
	if (rtnl->sock != NULL)
		mnl_socket_close(rtnl->sock);
	rtnl->sock = NULL;
}

/* libmnl stops reading at the flag; what it leaves in the socket would be taken for the answer to the next request. */
static bool take_interrupted(void *buf, size_t bytes)
{
	struct nlmsghdr *nlh = buf;
	int left = (int)bytes;
	bool was = false;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		was |= (nlh->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
		nlh->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
	}
	return was;
}

static int call(struct rtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t fn, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[ANSWER_BYTES];
	unsigned portid = mnl_socket_get_portid(rtnl->sock);
	bool interrupted = false;
	int r;

	nlh->nlmsg_seq = ++rtnl->seq;
	if (mnl_socket_sendto(rtnl->sock, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	do {
		ssize_t n = mnl_socket_recvfrom(rtnl->sock, buf, sizeof(buf));

		if (n < 0)
			return -errno;
		interrupted |= take_interrupted(buf, (size_t)n);
		r = mnl_cb_run(buf, (size_t)n, nlh->nlmsg_seq, portid, fn, arg);
	} while (r > MNL_CB_STOP);
	if (r < 0)
		return -errno;
	return interrupted ? -EAGAIN : 0;
}

int rtnl_call(struct rtnl *rtnl, struct nlmsghdr *nlh, mnl_cb_t fn, void *arg)
{
	nlh->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	return call(rtnl, nlh, fn, arg);
}

int rtnl_dump(struct rtnl *rtnl, uint16_t type, uint8_t family, mnl_cb_t fn, void *arg)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	/* the family is the first byte of every header of rtnetlink; this is the longest of them */
	((struct ifinfomsg *)mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg)))->ifi_family = family;
	return call(rtnl, nlh, fn, arg);
}

/* ---- requests */

static struct nlmsghdr *link_msg(char *buf, uint16_t type, uint16_t flags, const struct ifinfomsg *ifi)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi)), ifi, sizeof(*ifi));
	return nlh;
}

static void put_device(struct nlmsghdr *nlh, const char *name, uint32_t mtu)
{
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	/* each queue of the one end wants a socket of its own at the other */
	mnl_attr_put_u32(nlh, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(nlh, IFLA_NUM_RX_QUEUES, 1);
}

int rtnl_veth_new(struct rtnl *rtnl, const char *name, const char *peer_name, int peer_netns_fd, uint32_t mtu)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	const struct ifinfomsg ifi = { .ifi_family = AF_UNSPEC };
	struct nlmsghdr *nlh = link_msg(buf, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &ifi);
	struct nlattr *info, *data, *peer;

	put_device(nlh, name, mtu);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_str(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(ifi)), &ifi, sizeof(ifi));
	put_device(nlh, peer_name, mtu);
	mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)peer_netns_fd);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return rtnl_call(rtnl, nlh, NULL, NULL);
}

int rtnl_link_up(struct rtnl *rtnl, uint32_t ifindex)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	const struct ifinfomsg ifi = { .ifi_index = (int)ifindex, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };

	return rtnl_call(rtnl, link_msg(buf, RTM_NEWLINK, 0, &ifi), NULL, NULL);
}

int rtnl_link_mtu(struct rtnl *rtnl, uint32_t ifindex, uint32_t mtu)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	const struct ifinfomsg ifi = { .ifi_index = (int)ifindex };
	struct nlmsghdr *nlh = link_msg(buf, RTM_NEWLINK, 0, &ifi);

	mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	return rtnl_call(rtnl, nlh, NULL, NULL);
}

int rtnl_link_del(struct rtnl *rtnl, uint32_t ifindex)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	const struct ifinfomsg ifi = { .ifi_index = (int)ifindex };

	return rtnl_call(rtnl, link_msg(buf, RTM_DELLINK, 0, &ifi), NULL, NULL);
}

int rtnl_filter(struct rtnl *rtnl, uint32_t ifindex, const struct mac_addr *mac, bool add)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	const struct ndmsg ndm = {
		.ndm_family = AF_BRIDGE,
		.ndm_ifindex = (int)ifindex,
		.ndm_state = NUD_PERMANENT,
		.ndm_flags = NTF_SELF,
	};

	nlh->nlmsg_type = add ? RTM_NEWNEIGH : RTM_DELNEIGH;
	nlh->nlmsg_flags = add ? NLM_F_CREATE | NLM_F_EXCL : 0;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(ndm)), &ndm, sizeof(ndm));
	mnl_attr_put(nlh, NDA_LLADDR, sizeof(mac->bytes), mac->bytes);
	return rtnl_call(rtnl, nlh, NULL, NULL);
}

int rtnl_addr(struct rtnl *rtnl, uint32_t ifindex, const struct ip_addr *addr, bool add)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	const struct ifaddrmsg ifa = {
		.ifa_family = AF_INET6,
		.ifa_prefixlen = 128,
		.ifa_flags = IFA_F_NODAD,
		.ifa_index = ifindex,
	};
	const struct ifa_cacheinfo life = { .ifa_prefered = 0, .ifa_valid = UINT32_MAX };
	int r;

	nlh->nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR;
	nlh->nlmsg_flags = add ? NLM_F_CREATE | NLM_F_REPLACE : 0;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(ifa)), &ifa, sizeof(ifa));
	mnl_attr_put(nlh, IFA_LOCAL, sizeof(addr->bytes), addr->bytes);
	if (add)
		mnl_attr_put(nlh, IFA_CACHEINFO, sizeof(life), &life);
	r = rtnl_call(rtnl, nlh, NULL, NULL);
	return r == (add ? -EEXIST : -EADDRNOTAVAIL) ? 0 : r;
}

static struct nlmsghdr *neighbour_msg(char *buf, uint16_t type, uint16_t flags, uint32_t ifindex, uint8_t ndm_flags,
				      const struct ip_addr *addr)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	const struct ndmsg ndm = {
		.ndm_family = ip_addr_is_v4(addr) ? AF_INET : AF_INET6,
		.ndm_ifindex = (int)ifindex,
		.ndm_state = NUD_NONE,
		.ndm_flags = ndm_flags,
	};

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	memcpy(mnl_nlmsg_put_extra_header(nlh, sizeof(ndm)), &ndm, sizeof(ndm));
	if (ip_addr_is_v4(addr))
		mnl_attr_put(nlh, NDA_DST, 4, addr->bytes + 12);
	else
		mnl_attr_put(nlh, NDA_DST, 16, addr->bytes);
	return nlh;
}

int rtnl_neighbour_use(struct rtnl *rtnl, uint32_t ifindex, const struct ip_addr *addr)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];

	return rtnl_call(rtnl, neighbour_msg(buf, RTM_NEWNEIGH, NLM_F_CREATE, ifindex, NTF_USE, addr), NULL, NULL);
}

struct neighbour {
	struct mac_addr mac;
	bool known, asked;
};

static int take_lladdr(const struct nlattr *attr, void *arg)
{
	struct neighbour *n = arg;

	if (mnl_attr_get_type(attr) == NDA_LLADDR && mnl_attr_get_payload_len(attr) == sizeof(n->mac)) {
		memcpy(n->mac.bytes, mnl_attr_get_payload(attr), sizeof(n->mac));
		n->known = true;
	}
	return MNL_CB_OK;
}

/* While it is being looked for, or wasn't found, the kernel may still name the address that it had. */
static int take_neighbour(const struct nlmsghdr *nlh, void *arg)
{
	const struct ndmsg *ndm = mnl_nlmsg_get_payload(nlh);
	struct neighbour *n = arg;
	const uint16_t usable = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE;

	if (nlh->nlmsg_type == RTM_NEWNEIGH && (ndm->ndm_state & usable) != 0)
		mnl_attr_parse(nlh, sizeof(*ndm), take_lladdr, n);
	n->asked = nlh->nlmsg_type == RTM_NEWNEIGH && (ndm->ndm_state & NUD_INCOMPLETE) != 0;
	return MNL_CB_OK;
}

int rtnl_neighbour_get(struct rtnl *rtnl, uint32_t ifindex, const struct ip_addr *addr, struct mac_addr *ret_mac)
{
	_Alignas(struct nlmsghdr) char buf[REQUEST_BYTES];
	struct neighbour n = { .known = false };
	int r = rtnl_call(rtnl, neighbour_msg(buf, RTM_GETNEIGH, 0, ifindex, 0, addr), take_neighbour, &n);

	if (r < 0 || !n.known)
		return r < 0 ? r : n.asked ? -EAGAIN : -ENOENT;
	*ret_mac = n.mac;
	return 0;
}
