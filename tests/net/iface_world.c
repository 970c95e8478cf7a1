// SPDX-License-Identifier: BSD-2-Clause
#include "tests/net/iface_world.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/assert.h"
#include "bpf/vj_deliver.skel.h"
#include "bpf/vj_dispatch.skel.h"
#include "bpf/vj_gate.skel.h"

#define HEADROOM 256 /* XDP_PACKET_HEADROOM */

/* ---- namespaces and devices ---------------------------------------------------------------------------------------- */

void iface_run(const char *fmt, ...)
{
	char cmd[512];
	va_list args;
	int ret;

	va_start(args, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, args);
	va_end(args);
	ret = system(cmd);
	if (ret != 0) {
		fprintf(stderr, "'%s' ended with %d\n", cmd, ret);
		abort();
	}
}

void iface_enter(int ns)
{
	VJ_ASSERT_OP(setns(ns, CLONE_NEWNET), ==, 0);
}

static int namespace_new(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) != 0)
		return -1;
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	VJ_ASSERT_OP(fd, >=, 0);
	return fd;
}

static struct mac_addr device_mac(const char *name)
{
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq req = { 0 };
	struct mac_addr mac;

	strcpy(req.ifr_name, name);
	VJ_ASSERT_OP(ioctl(s, SIOCGIFHWADDR, &req), ==, 0);
	memcpy(mac.bytes, req.ifr_hwaddr.sa_data, sizeof(mac.bytes));
	close(s);
	return mac;
}

struct ip_addr iface_addr(enum iface_side side, bool v6)
{
	static const uint8_t six[16] = { 0x20, 0x01, 0x0d, 0xb8, 0, 9 };
	struct ip_addr addr;

	if (!v6)
		return ip_addr_from_v4(be32(0x0a090000u + side));
	addr = ip_addr_from_v6(six);
	addr.bytes[15] = (uint8_t)side;
	return addr;
}

/* Without offloads: what leaves is what is on the wire. GRO gives the device the NAPI that XDP_REDIRECT needs at its end. */
static void end_up(const char *name, enum iface_side side)
{
	iface_run("ip link set lo up");
	iface_run("sysctl -q -w net.ipv6.conf.%s.accept_dad=0", name);
	iface_run("ip addr add 10.9.0.%u/24 dev %s && ip addr add 2001:db8:9::%u/64 dev %s nodad", (unsigned)side, name,
		  (unsigned)side, name);
	iface_run("ip link set %s mtu %u up", name, IFACE_MTU);
	iface_run("ethtool -K %s tx off gso off tso off gro on >/dev/null 2>&1", name);
}

/* No address resolution while something is measured or counted. */
static void know_each_other(const char *name, enum iface_side other, const struct mac_addr *mac)
{
	char text[MAC_ADDR_TEXT_BYTES];

	mac_addr_format(mac, text);
	iface_run("ip neigh replace 10.9.0.%u lladdr %s dev %s && ip neigh replace 2001:db8:9::%u lladdr %s dev %s",
		  (unsigned)other, text, name, (unsigned)other, text, name);
}

const char *iface_world_open(struct iface_world *w)
{
	*w = (struct iface_world){ .host_ns = -1 };
	w->apps_ns = namespace_new();
	if (w->apps_ns < 0)
		return "a network namespace";
	w->client_ns = namespace_new();
	w->host_ns = namespace_new();
	if (system("ip link add wire0 numrxqueues 1 numtxqueues 1 type veth peer name wire1 numrxqueues 1 numtxqueues 1 "
		   "2>/dev/null") != 0)
		return "a veth pair";
	libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
	iface_run("ip link set wire1 netns /proc/%d/fd/%d", getpid(), w->client_ns);
	end_up("wire0", IFACE_HOST);
	w->host_mac = device_mac("wire0");
	w->ifindex = if_nametoindex("wire0");
	iface_enter(w->client_ns);
	end_up("wire1", IFACE_CLIENT);
	w->client_mac = device_mac("wire1");
	know_each_other("wire1", IFACE_HOST, &w->host_mac);
	iface_enter(w->host_ns);
	know_each_other("wire0", IFACE_CLIENT, &w->client_mac);
	return NULL;
}

/* ---- programs ------------------------------------------------------------------------------------------------------ */

static void map_set(const struct bpf_map *map, const void *key, const void *value)
{
	VJ_ASSERT_OP(bpf_map_update_elem(bpf_map__fd(map), key, value, BPF_ANY), ==, 0);
}

static void attach(uint32_t ifindex, const struct bpf_program *prog)
{
	VJ_ASSERT_OP(bpf_xdp_attach((int)ifindex, bpf_program__fd(prog), XDP_FLAGS_DRV_MODE, NULL), ==, 0);
}

static void share(struct bpf_map *map, const struct bpf_map *of)
{
	VJ_ASSERT_OP(bpf_map__reuse_fd(map, bpf_map__fd(of)), ==, 0);
}

static void gate_load(struct iface_world *w)
{
	const struct policy_mac client = { .mac = w->client_mac };
	const uint32_t hop = POLICY_HOP_KNOWN;
	uint32_t zero = 0;

	w->gate = vj_gate__open();
	VJ_ASSERT(w->gate != NULL);
	share(w->gate->maps.addrs, w->dispatch->maps.addrs);
	share(w->gate->maps.ports, w->dispatch->maps.ports);
	share(w->gate->maps.blocks, w->dispatch->maps.blocks);
	share(w->gate->maps.flows, w->dispatch->maps.flows);
	share(w->gate->maps.devs, w->dispatch->maps.devs);
	VJ_ASSERT_OP(vj_gate__load(w->gate), ==, 0);
	map_set(w->gate->maps.out, &zero, &w->ifindex);
	map_set(w->gate->maps.hops, &client, &hop);
}

void iface_dispatch(struct iface_world *w)
{
	struct policy_dispatch_cfg cfg = { .mac = w->host_mac, .hash_seed = 12345 };
	uint32_t zero = 0;

	w->dispatch = vj_dispatch__open_and_load();
	VJ_ASSERT(w->dispatch != NULL);
	map_set(w->dispatch->maps.dispatch_cfg, &zero, &cfg);
	for (unsigned v6 = 0; v6 < 2; v6++) {
		struct policy_addr key = { .addr = iface_addr(IFACE_HOST, v6 != 0) };

		map_set(w->dispatch->maps.addrs, &key, &zero);
	}
	attach(w->ifindex, w->dispatch->progs.vj_dispatch);
	gate_load(w);
}

static void gate_for(struct iface_world *w, const struct iface_app *app)
{
	struct policy_gate_cfg cfg = { .app = app->id, .mtu = IFACE_MTU, .hash_seed = 12345, .mac = w->host_mac };
	struct policy_gate_counters *none = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*none));

	map_set(w->gate->maps.gate_counters, &app->id, none);
	map_set(w->gate->maps.gate_cfg, &app->host_ifindex, &cfg);
	free(none);
	attach(app->host_ifindex, w->gate->progs.vj_gate);
}

static void deliver_load(struct iface_app *app, uint32_t spill_max)
{
	struct policy_deliver_cfg cfg = {
		.frame_max = app->params.frame_bytes - HEADROOM,
		.rx_frame_cnt = app->params.frame_cnt / 2,
		.spill_max = spill_max,
	};
	uint32_t zero = 0;

	app->deliver = vj_deliver__open_and_load();
	VJ_ASSERT(app->deliver != NULL);
	map_set(app->deliver->maps.deliver_cfg, &zero, &cfg);
	map_set(app->deliver->maps.xsks, &zero, &app->params.xsk_fd);
	app->params.credit_fd = bpf_map__fd(app->deliver->maps.credit);
	attach(app->app_ifindex, app->deliver->progs.vj_deliver);
}

void iface_app_open(struct iface_world *w, struct iface_app *app, uint32_t id, uint32_t frame_bytes, uint32_t frame_cnt,
		    uint32_t spill_max)
{
	char name[IF_NAMESIZE];

	*app = (struct iface_app){ .id = id };
	iface_run("ip link add app%uh mtu %u numrxqueues 1 numtxqueues 1 type veth peer name app%ua mtu %u numrxqueues 1 "
		  "numtxqueues 1",
		  id, IFACE_MTU + 32, id, IFACE_MTU + 32);
	iface_run("sysctl -q -w net.ipv6.conf.app%uh.disable_ipv6=1", id);
	iface_run("ip link set app%ua netns /proc/%d/fd/%d && ip link set app%uh up", id, getpid(), w->apps_ns, id);
	snprintf(name, sizeof(name), "app%uh", id);
	app->host_ifindex = if_nametoindex(name);
	iface_enter(w->apps_ns);
	iface_run("sysctl -q -w net.ipv6.conf.app%ua.disable_ipv6=1", id);
	iface_run("ip link set app%ua up", id);
	snprintf(name, sizeof(name), "app%ua", id);
	app->app_ifindex = if_nametoindex(name);
	app->params = iface_socket(app->app_ifindex, frame_bytes, frame_cnt);
	deliver_load(app, spill_max);
	iface_enter(w->host_ns);
	gate_for(w, app);
	map_set(w->dispatch->maps.devs, &id, &app->host_ifindex);
}

void iface_app_close(struct iface_world *w, struct iface_app *app)
{
	VJ_ASSERT_OP(bpf_map_delete_elem(bpf_map__fd(w->dispatch->maps.devs), &app->id), ==, 0);
	close(app->params.xsk_fd);
	close(app->params.umem_fd);
	iface_run("ip link del app%uh", app->id);
	vj_deliver__destroy(app->deliver);
}

void iface_dispatch_off(struct iface_world *w)
{
	if (!w->dispatch)
		return;
	bpf_xdp_detach((int)w->ifindex, XDP_FLAGS_DRV_MODE, NULL);
	vj_gate__destroy(w->gate);
	vj_dispatch__destroy(w->dispatch);
	w->dispatch = NULL;
}

void iface_world_close(struct iface_world *w)
{
	iface_dispatch_off(w);
	close(w->host_ns);
	close(w->client_ns);
	close(w->apps_ns);
}

void iface_port(struct iface_world *w, const struct ip_addr *addr, uint8_t proto, uint16_t port, uint32_t app, bool group)
{
	struct policy_port key = { .addr = *addr, .port = be16(port), .proto = proto };
	struct policy_owner owner = { 0 };

	if (group)
		bpf_map_lookup_elem(bpf_map__fd(w->dispatch->maps.ports), &key, &owner);
	owner.flags = group ? POLICY_OWNER_GROUP : 0;
	owner.apps[owner.cnt++] = app;
	map_set(w->dispatch->maps.ports, &key, &owner);
	if (!ip_addr_is_any(addr))
		return;
	/* as vjd does: under each address of the host as well */
	owner.flags |= POLICY_OWNER_HERE | POLICY_OWNER_REPEATED;
	key.addr = iface_addr(IFACE_HOST, !ip_addr_is_v4(addr));
	map_set(w->dispatch->maps.ports, &key, &owner);
}

/* ---- sockets ------------------------------------------------------------------------------------------------------- */

static void xdp_set(int fd, int name, const void *value, size_t bytes)
{
	VJ_ASSERT_OP(setsockopt(fd, SOL_XDP, name, value, (socklen_t)bytes), ==, 0);
}

struct afxdp_params iface_socket(uint32_t ifindex, uint32_t frame_bytes, uint32_t frame_cnt)
{
	size_t bytes = (size_t)frame_bytes * frame_cnt;
	uint32_t half = frame_cnt / 2; /* frames for each direction; the longer rings: channel/attach.h */
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0), mem_fd = memfd_create("umem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct sockaddr_xdp addr = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP,
		.sxdp_ifindex = ifindex,
	};
	struct xdp_umem_reg reg = { .len = bytes, .chunk_size = frame_bytes };
	void *mem;

	VJ_ASSERT(fd >= 0 && mem_fd >= 0);
	VJ_ASSERT_OP(ftruncate(mem_fd, (off_t)bytes), ==, 0);
	VJ_ASSERT_OP(fcntl(mem_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), ==, 0);
	mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, mem_fd, 0);
	VJ_ASSERT(mem != MAP_FAILED);
	reg.addr = (uintptr_t)mem;
	xdp_set(fd, XDP_UMEM_REG, &reg, sizeof(reg));
	xdp_set(fd, XDP_UMEM_FILL_RING, &frame_cnt, sizeof(frame_cnt));
	xdp_set(fd, XDP_UMEM_COMPLETION_RING, &half, sizeof(half));
	xdp_set(fd, XDP_RX_RING, &half, sizeof(half));
	xdp_set(fd, XDP_TX_RING, &frame_cnt, sizeof(frame_cnt));
	VJ_ASSERT_OP(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), ==, 0);
	munmap(mem, bytes); /* the socket keeps the pages */
	return (struct afxdp_params){
		.xsk_fd = fd,
		.umem_fd = mem_fd,
		.credit_fd = -1,
		.poll_fd = -1,
		.frame_bytes = frame_bytes,
		.frame_cnt = frame_cnt,
		.rx_cnt = half,
		.tx_cnt = frame_cnt,
		.fill_cnt = frame_cnt,
		.completion_cnt = half,
	};
}

static socklen_t sockaddr_of(const struct ip_addr *addr, uint16_t port, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (ip_addr_is_v4(addr)) {
		struct sockaddr_in *sin = (struct sockaddr_in *)ret;

		*sin = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
		memcpy(&sin->sin_addr, addr->bytes + 12, 4);
		return sizeof(*sin);
	}
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ret;

	*sin6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
	memcpy(&sin6->sin6_addr, addr->bytes, 16);
	return sizeof(*sin6);
}

int iface_client_udp(struct iface_world *w, bool v6, uint16_t port, uint16_t to)
{
	struct ip_addr from = iface_addr(IFACE_CLIENT, v6), host = iface_addr(IFACE_HOST, v6);
	struct timeval patient = { .tv_sec = IFACE_PATIENT_S };
	struct sockaddr_storage addr;
	socklen_t len;
	int fd;

	iface_enter(w->client_ns);
	fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	iface_enter(w->host_ns);
	VJ_ASSERT_OP(fd, >=, 0);
	len = sockaddr_of(&from, port, &addr);
	VJ_ASSERT_OP(bind(fd, (struct sockaddr *)&addr, len), ==, 0);
	len = sockaddr_of(&host, to, &addr);
	VJ_ASSERT_OP(connect(fd, (struct sockaddr *)&addr, len), ==, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patient, sizeof(patient));
	return fd;
}

int iface_host_udp(uint16_t port)
{
	struct ip_addr any = ip_addr_any_v6();
	struct timeval patient = { .tv_sec = IFACE_PATIENT_S };
	struct sockaddr_storage addr;
	socklen_t len = sockaddr_of(&any, port, &addr);
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	VJ_ASSERT_OP(fd, >=, 0);
	VJ_ASSERT_OP(bind(fd, (struct sockaddr *)&addr, len), ==, 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patient, sizeof(patient));
	return fd;
}

int iface_tcp(struct iface_world *w, enum iface_side side, bool v6, uint16_t port)
{
	struct ip_addr own = iface_addr(side, v6);
	struct timeval patient = { .tv_sec = IFACE_PATIENT_S };
	struct sockaddr_storage addr;
	socklen_t len = sockaddr_of(&own, port, &addr);
	int fd, one = 1;

	iface_enter(side == IFACE_CLIENT ? w->client_ns : w->host_ns);
	fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	iface_enter(w->host_ns);
	VJ_ASSERT_OP(fd, >=, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patient, sizeof(patient));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patient, sizeof(patient));
	VJ_ASSERT_OP(bind(fd, (struct sockaddr *)&addr, len), ==, 0);
	return fd;
}

int iface_connect(int fd, bool v6, uint16_t port)
{
	struct ip_addr host = iface_addr(IFACE_HOST, v6);
	struct sockaddr_storage addr;
	socklen_t len = sockaddr_of(&host, port, &addr);

	return connect(fd, (struct sockaddr *)&addr, len);
}

/* ---- counters ------------------------------------------------------------------------------------------------------ */

static uint64_t counter_sum(int counters_fd, enum policy_reason reason)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values = calloc((size_t)cpus, sizeof(*values)), sum = 0;
	uint32_t key = reason;

	VJ_ASSERT_OP(bpf_map_lookup_elem(counters_fd, &key, values), ==, 0);
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	free(values);
	return sum;
}

uint64_t iface_dispatch_count(const struct iface_world *w, enum policy_reason reason)
{
	return counter_sum(bpf_map__fd(w->dispatch->maps.counters), reason);
}

uint64_t iface_deliver_count(const struct iface_app *app, enum policy_reason reason)
{
	return counter_sum(bpf_map__fd(app->deliver->maps.counters), reason);
}

uint64_t iface_gate_count(const struct iface_world *w, const struct iface_app *app, enum policy_reason reason)
{
	int cpus = libbpf_num_possible_cpus();
	struct policy_gate_counters *values = calloc((size_t)cpus, sizeof(*values));
	uint64_t sum = 0;

	VJ_ASSERT_OP(bpf_map_lookup_elem(bpf_map__fd(w->gate->maps.gate_counters), &app->id, values), ==, 0);
	for (int i = 0; i < cpus; i++)
		sum += values[i].of[reason];
	free(values);
	return sum;
}

void iface_deliver_state(const struct iface_app *app, struct policy_deliver_state *ret_state)
{
	uint32_t zero = 0;

	VJ_ASSERT_OP(bpf_map_lookup_elem(bpf_map__fd(app->deliver->maps.deliver_state), &zero, ret_state), ==, 0);
}

void iface_deliver_flood(const struct iface_app *app, uint64_t flood_ns)
{
	struct policy_deliver_state state;
	uint32_t zero = 0;

	iface_deliver_state(app, &state);
	state.flood_ns = flood_ns;
	state.flood_given = state.given;
	VJ_ASSERT_OP(bpf_map_update_elem(bpf_map__fd(app->deliver->maps.deliver_state), &zero, &state, BPF_ANY), ==, 0);
}

/* ---- hostile ------------------------------------------------------------------------------------------------------- */

void iface_credit_set(const struct iface_app *app, uint32_t posted)
{
	struct policy_credit *credit = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, app->params.credit_fd, 0);

	VJ_ASSERT(credit != MAP_FAILED);
	credit->posted = posted;
	munmap(credit, 4096);
}

static void ring_garbage(int fd, uint64_t page_offset, uint64_t desc, uint32_t bytes)
{
	uint8_t *mem = mmap(NULL, desc + bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)page_offset);

	VJ_ASSERT(mem != MAP_FAILED);
	for (uint64_t i = 0; i < desc + bytes; i++)
		mem[i] = (uint8_t)(i * 167 + 13);
	munmap(mem, desc + bytes);
}

void iface_garbage(const struct iface_app *app)
{
	const struct afxdp_params *p = &app->params;
	struct xdp_mmap_offsets at;
	socklen_t len = sizeof(at);

	VJ_ASSERT_OP(getsockopt(p->xsk_fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &len), ==, 0);
	ring_garbage(p->xsk_fd, XDP_PGOFF_TX_RING, at.tx.desc, p->tx_cnt * 16);
	ring_garbage(p->xsk_fd, XDP_PGOFF_RX_RING, at.rx.desc, p->rx_cnt * 16);
	ring_garbage(p->xsk_fd, XDP_UMEM_PGOFF_FILL_RING, at.fr.desc, p->fill_cnt * 8);
	ring_garbage(p->xsk_fd, XDP_UMEM_PGOFF_COMPLETION_RING, at.cr.desc, p->completion_cnt * 8);
	for (unsigned i = 0; i < 100; i++)
		sendto(p->xsk_fd, NULL, 0, MSG_DONTWAIT, NULL, 0);
}
