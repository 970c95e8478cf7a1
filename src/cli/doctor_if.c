// SPDX-License-Identifier: BSD-2-Clause
/* doctor_if.c - vj doctor: one interface */
#include "cli/doctor.h"

#include "base/genl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <net/if_arp.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Generic netlink family "netdev" (Documentation/netlink/specs/netdev.yaml, Linux 6.3): what a driver can do with XDP. The header is
 * newer than the systems that this is built on.
 */
enum {
	NETDEV_GET = 1,
	NETDEV_IFINDEX = 1,
	NETDEV_XDP_FEATURES = 3,
	XDP_BASIC = 1,
	XDP_REDIRECT_OUT = 2,
	XDP_ZERO_COPY = 8,
};

enum { MTU_XDP = 3498 }; /* what fits in a page with XDP's room, on most drivers */

struct link {
	const char *name;
	uint32_t ifindex, mtu, prog_id;
	uint16_t type;
	bool is_up;
	char driver[32];
};

/* ---- asking the kernel */

static int ask(int bus, struct nlmsghdr *nlh, mnl_cb_t fn, void *arg)
{
	struct mnl_socket *sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	char buf[16384];
	ssize_t n = -1;
	int r = -1;

	if (sock == NULL)
		return -errno;
	nlh->nlmsg_flags |= NLM_F_REQUEST;
	if (mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID) == 0 && mnl_socket_sendto(sock, nlh, nlh->nlmsg_len) >= 0)
		n = mnl_socket_recvfrom(sock, buf, sizeof(buf));
	if (n >= 0)
		r = mnl_cb_run(buf, (size_t)n, 0, 0, fn, arg);
	mnl_socket_close(sock);
	return r < 0 ? -EIO : 0;
}

static int take_xdp(const struct nlattr *attr, void *arg)
{
	struct link *l = arg;

	if (mnl_attr_get_type(attr) == IFLA_XDP_PROG_ID)
		l->prog_id = mnl_attr_get_u32(attr);
	return MNL_CB_OK;
}

static int take_attr(const struct nlattr *attr, void *arg)
{
	struct link *l = arg;

	if (mnl_attr_get_type(attr) == IFLA_MTU)
		l->mtu = mnl_attr_get_u32(attr);
	if (mnl_attr_get_type(attr) == IFLA_XDP)
		mnl_attr_parse_nested(attr, take_xdp, l);
	return MNL_CB_OK;
}

static int take_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct link *l = arg;

	if (nlh->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_STOP;
	l->type = ifi->ifi_type;
	l->is_up = (ifi->ifi_flags & IFF_UP) != 0;
	mnl_attr_parse(nlh, sizeof(*ifi), take_attr, l);
	return MNL_CB_STOP;
}

static int read_link(struct link *l)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *ifi;

	nlh->nlmsg_type = RTM_GETLINK;
	ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
	ifi->ifi_index = (int)l->ifindex;
	return ask(NETLINK_ROUTE, nlh, take_link, l);
}

static int take_features(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == NETDEV_XDP_FEATURES)
		*(uint64_t *)arg = mnl_attr_get_u64(attr);
	return MNL_CB_OK;
}

static int take_features_msg(const struct nlmsghdr *nlh, void *arg)
{
	mnl_attr_parse(nlh, sizeof(struct genlmsghdr), take_features, arg);
	return MNL_CB_STOP;
}

/* Return: false: this kernel doesn't tell */
static bool read_features(uint32_t ifindex, uint64_t *ret_features)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh;
	uint16_t family = 0;

	if (ask(NETLINK_GENERIC, genl_family_msg(buf, "netdev"), genl_take_family, &family) < 0 || family == 0)
		return false;
	nlh = genl_msg(buf, family, NETDEV_GET);
	mnl_attr_put_u32(nlh, NETDEV_IFINDEX, ifindex);
	return ask(NETLINK_GENERIC, nlh, take_features_msg, ret_features) == 0;
}

/* Return: 0; -1: the driver doesn't answer that */
static int ethtool(const char *name, void *cmd)
{
	struct ifreq ifr = { .ifr_data = cmd };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	strncpy(ifr.ifr_name, name, sizeof(ifr.ifr_name) - 1);
	r = fd >= 0 ? ioctl(fd, SIOCETHTOOL, &ifr) : -1;
	if (fd >= 0)
		close(fd);
	return r;
}

static long bpf(enum bpf_cmd cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* Return: a descriptor of program or map @id; -1 */
static int open_id(enum bpf_cmd cmd, uint32_t id)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_id = id; /* @map_id is in the same place */
	return (int)bpf(cmd, &attr);
}

/* Closes @fd. */
static bool read_info(int fd, void *info, uint32_t bytes)
{
	union bpf_attr attr;
	bool done;

	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = (uint32_t)fd;
	attr.info.info_len = bytes;
	attr.info.info = (uintptr_t)info;
	done = fd >= 0 && bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) == 0;
	if (fd >= 0)
		close(fd);
	return done;
}

enum { PROG_MAPS_MAX = 32 };

/* A stranger's program may have the same name (daemon/own_prog.h). */
static bool uses_map(const uint32_t *ids, uint32_t cnt, const char *name)
{
	for (uint32_t i = 0; i < cnt && i < PROG_MAPS_MAX; i++) {
		struct bpf_map_info info;

		memset(&info, 0, sizeof(info));
		if (read_info(open_id(BPF_MAP_GET_FD_BY_ID, ids[i]), &info, sizeof(info)) && strcmp(info.name, name) == 0)
			return true;
	}
	return false;
}

/* For root; else @name is left as it is. */
static void read_prog(uint32_t id, char name[static BPF_OBJ_NAME_LEN], bool *ret_is_dispatch)
{
	uint32_t ids[PROG_MAPS_MAX];
	struct bpf_prog_info info;

	memset(&info, 0, sizeof(info));
	info.nr_map_ids = PROG_MAPS_MAX;
	info.map_ids = (uintptr_t)ids;
	if (!read_info(open_id(BPF_PROG_GET_FD_BY_ID, id), &info, sizeof(info)))
		return;
	memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	*ret_is_dispatch = strcmp(name, "vj_dispatch") == 0 && uses_map(ids, info.nr_map_ids, "dispatch_cfg");
}

static int take_filter_name(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == TCA_BPF_NAME && strncmp(mnl_attr_get_str(attr), "vj_dispatch_tc", 14) == 0)
		*(bool *)arg = true;
	return MNL_CB_OK;
}

static int take_filter_options(const struct nlattr *attr, void *arg)
{
	if (mnl_attr_get_type(attr) == TCA_OPTIONS)
		mnl_attr_parse_nested(attr, take_filter_name, arg);
	return MNL_CB_OK;
}

static int take_filter(const struct nlmsghdr *nlh, void *arg)
{
	if (nlh->nlmsg_type == RTM_NEWTFILTER)
		mnl_attr_parse(nlh, sizeof(struct tcmsg), take_filter_options, arg);
	return MNL_CB_OK;
}

/* dispatch's, in the place of daemon/tc_hook.c */
static bool has_tc_filter(const struct link *l)
{
	_Alignas(struct nlmsghdr) char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tcm;
	bool has = false;

	nlh->nlmsg_type = RTM_GETTFILTER;
	nlh->nlmsg_flags = NLM_F_DUMP;
	tcm = mnl_nlmsg_put_extra_header(nlh, sizeof(*tcm));
	tcm->tcm_ifindex = (int)l->ifindex;
	tcm->tcm_parent = TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS);
	return ask(NETLINK_ROUTE, nlh, take_filter, &has) == 0 && has;
}

/* ---- what it means */

enum { ATTACHED_MAX = 64 };

static uint32_t attached[ATTACHED_MAX];
static unsigned attached_cnt;

void doctor_attached(uint32_t ifindex)
{
	if (attached_cnt < ATTACHED_MAX)
		attached[attached_cnt++] = ifindex;
}

static bool is_attached(uint32_t ifindex)
{
	for (unsigned i = 0; i < attached_cnt; i++)
		if (attached[i] == ifindex)
			return true;
	return attached_cnt == ATTACHED_MAX;
}

static void say_ours(const struct link *l, const char *where)
{
	char mend[128];

	snprintf(mend, sizeof(mend), "vj attach %s (vjd takes it over), or vj detach %s (takes it away)", l->name, l->name);
	if (is_attached(l->ifindex))
		doctor_say(FINDING_OK, l->name, NULL, "vjchan's program is there (%s)", where);
	else
		doctor_say(FINDING_NOTE, l->name, mend,
			   "a program that an earlier vjd left is there (%s): the vjd that was asked has nothing to do with it", where);
}

static void look_at_program(const struct link *l)
{
	char prog[BPF_OBJ_NAME_LEN] = "", mend[96];
	bool ours = false;

	if (has_tc_filter(l))
		say_ours(l, "tc");
	if (l->prog_id == 0)
		return;
	read_prog(l->prog_id, prog, &ours);
	snprintf(mend, sizeof(mend), "ip link set %s xdp off; vj detach %s; vj attach %s", l->name, l->name, l->name);
	if (prog[0] == '\0')
		doctor_say(FINDING_NOTE, l->name, "sudo vj doctor", "an XDP program is there (id %u): whose, only root can see", l->prog_id);
	else if (!ours)
		doctor_say(FINDING_NOTE, l->name, mend,
			   "XDP program %s (id %u) is there: it goes first, and channels get what it passes on, slower (tc)", prog,
			   l->prog_id);
	else
		say_ours(l, "XDP");
}

static void look_at_driver(const struct link *l)
{
	uint64_t f = 0;

	if (!read_features(l->ifindex, &f))
		doctor_say(FINDING_NOTE, l->name, NULL, "driver %s; the kernel doesn't say what it can do with XDP (Linux 6.3)",
			   l->driver);
	else if ((f & XDP_BASIC) == 0)
		doctor_say(FINDING_NOTE, l->name, NULL, "driver %s has no XDP: frames are taken from the kernel (tc), slower", l->driver);
	else
		doctor_say(FINDING_OK, l->name, NULL, "driver %s: native XDP%s%s", l->driver,
			   (f & XDP_REDIRECT_OUT) != 0 ? ", redirects" : "",
			   (f & XDP_ZERO_COPY) != 0 ? ", could do zero-copy" : "");
}

static void look_at_offloads(const struct link *l)
{
	struct ethtool_value flags = { .cmd = ETHTOOL_GFLAGS };
	char mend[64];

	snprintf(mend, sizeof(mend), "ethtool -K %s lro off", l->name);
	if (ethtool(l->name, &flags) == 0 && (flags.data & ETH_FLAG_LRO) != 0)
		doctor_say(FINDING_NOTE, l->name, mend, "LRO joins frames, and most drivers refuse XDP with it");
	if (strcmp(l->driver, "veth") != 0)
		return;
	doctor_say(FINDING_NOTE, l->name, "ethtool -K PEER tx off (at its other end)",
		   "a veth: unless its other end fills in checksums, what comes from there is dropped as damaged");
	/* XDP_TX goes into a ring that only the peer's NAPI empties: it has one with GRO or an XDP program, and is woken with the latter only */
	doctor_say(FINDING_NOTE, l->name, "an XDP program at its other end, as vj attach PEER there; or ethtool -K PEER gro on",
		   "a veth: what a rule rejects is answered at once if its other end has an XDP program, late if it has GRO, else never");
}

static void look_at_size(const struct link *l)
{
	char mend[64];

	snprintf(mend, sizeof(mend), "ip link set %s mtu 1500", l->name);
	if (l->mtu > MTU_XDP)
		doctor_say(FINDING_BAD, l->name, mend, "MTU %u: frames of channels hold %d bytes", l->mtu, MTU_XDP);
}

static void look_at_macs(const struct link *l)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/net/%s/phy80211", l->name);
	if (access(path, F_OK) == 0)
		doctor_say(FINDING_NOTE, l->name, NULL,
			   "wireless: one MAC address only; channels use it, and are told apart by port");
	else if (strcmp(l->driver, "virtio_net") == 0 || strcmp(l->driver, "ena") == 0 || strcmp(l->driver, "hv_netvsc") == 0)
		doctor_say(FINDING_NOTE, l->name, "on its host: libvirt trustGuestRxFilters='yes', VMware \"forged transmits\"; clouds: none",
			   "a virtual machine's: most hosts let one MAC address pass only; channels are told apart by port");
	else
		doctor_say(FINDING_OK, l->name, NULL, "several MAC addresses are possible, unless its switch limits them");
}

int doctor_interface(const char *name, bool closely)
{
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	struct link l = { .name = name, .ifindex = if_nametoindex(name), .driver = "?" };
	char mend[64];

	if (l.ifindex == 0)
		return -ENODEV;
	if (ethtool(name, &info) == 0)
		snprintf(l.driver, sizeof(l.driver), "%.31s", info.driver);
	if (read_link(&l) < 0 || l.type != ARPHRD_ETHER) {
		/* nobody expects them at each tunnel that a host has, but at one that was named */
		doctor_say(closely ? FINDING_BAD : FINDING_NOTE, name, NULL, "no Ethernet: no channels there");
		return 0;
	}
	snprintf(mend, sizeof(mend), "ip link set %s up", name);
	if (!l.is_up)
		doctor_say(FINDING_NOTE, name, mend, "is down");
	look_at_driver(&l);
	look_at_program(&l);
	look_at_size(&l);
	look_at_offloads(&l);
	look_at_macs(&l);
	if (closely && l.is_up)
		doctor_checksums(name, l.ifindex);
	return 0;
}
