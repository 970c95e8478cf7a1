// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_chan.h"

#include "daemon/if_name.h"
#include "daemon/if_poll.h"
#include "daemon/netns.h"
#include "daemon/offload.h"
#include "daemon/own_prog.h"
#include "daemon/spill.h"
#include "wire/eth.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SPILL_MAX = 2048, /* frames */
	BIND_TRIES = 20,  /* the kernel takes old sockets down in its own time */
	BIND_PAUSE_US = 5000,
};

static void host_name(uint32_t nr, char name[static IF_NAMESIZE])
{
	snprintf(name, IF_NAMESIZE, IF_NAME_HOST "%u", nr);
}

static void app_name(uint32_t nr, char name[static IF_NAMESIZE])
{
	snprintf(name, IF_NAMESIZE, IF_NAME_APP "%u", nr);
}

/* deliver's frames come back behind a second header. */
static uint32_t pair_mtu(uint32_t mtu)
{
	return mtu + POLICY_GIVE_BACK_BYTES;
}

uint32_t if_chan_frame_max(const struct if_chan *c)
{
	return min_u32(pair_mtu(c->rec.mtu) + ETH_HDR_BYTES, c->rec.xsk.frame_bytes - IF_FRAME_HEADROOM);
}

uint64_t if_chan_memory_bytes(const struct if_chan_record *rec)
{
	return (uint64_t)rec->xsk.frame_bytes * rec->xsk.frame_cnt;
}

/* ---- records */

static void record_path(const char *dir, uint32_t nr, char path[static 160])
{
	snprintf(path, 160, "%s/chan-%u", dir, nr);
}

/* Under another name first: a record is whole or not there. */
static int record_write(const char *dir, const struct if_chan_record *rec)
{
	char path[160], fresh[168];
	int fd, r = 0;

	record_path(dir, rec->nr, path);
	snprintf(fresh, sizeof(fresh), "%s.new", path);
	fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, rec, sizeof(*rec)) != (ssize_t)sizeof(*rec))
		r = -EIO;
	close(fd);
	if (r == 0 && rename(fresh, path) != 0)
		r = -errno;
	return r;
}

void if_chan_record_drop(const char *dir, uint32_t nr)
{
	char path[160];

	record_path(dir, nr, path);
	unlink(path);
}

/* Return: 0; negative errno; -EPROTO: another version has written it, or it isn't whole */
static int record_read(const char *dir, uint32_t nr, struct if_chan_record *ret)
{
	char path[160];
	ssize_t n;
	int fd;

	record_path(dir, nr, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, ret, sizeof(*ret));
	close(fd);
	return n == (ssize_t)sizeof(*ret) && ret->magic == IF_CHAN_MAGIC && ret->nr == nr ? 0 : -EPROTO;
}

/* "chan-5", but not "chan-5.new" */
static bool is_record(const char *name, uint32_t *ret_nr)
{
	char rest;

	return sscanf(name, "chan-%" SCNu32 "%c", ret_nr, &rest) == 1;
}

void if_chan_records(const char *dir, void (*fn)(void *arg, const struct if_chan_record *rec), void *arg)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		struct if_chan_record rec;
		uint32_t nr;
		int r;

		if (strncmp(e->d_name, "chan-", 5) != 0)
			continue;
		r = is_record(e->d_name, &nr) ? record_read(dir, nr, &rec) : -EPROTO;
		if (r == 0)
			fn(arg, &rec);
		else if (r == -EPROTO) /* what could not be opened, as without descriptors, is for the next vjd */
			unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d != NULL)
		closedir(d);
}

/* ---- devices */

/* No neighbour discovery of the kernel's in a device that isn't the kernel's. */
static void ip6_off(const char *name)
{
	char path[96];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0) {
		/* it costs some drops, counted as not_dispatched */
	}
	close(fd);
}

/*
 * Of the host end, which has to be up. With GRO a veth has a queue and a poll of its own for what comes from the application, in place
 * of a share of the processor's backlog, which one application could fill for all devices; a program in generic mode keeps it from
 * joining frames. And what the kernel sends into the pair has its checksum filled in, since nobody behind it would.
 */
static int host_offloads(uint32_t ifindex)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = fd >= 0 ? 0 : -errno;

	if (r == 0)
		r = offload_set(fd, ifindex, ETHTOOL_SGRO, true);
	if (r == 0)
		r = offload_set(fd, ifindex, ETHTOOL_STXCSUM, false);
	if (fd >= 0)
		close(fd);
	return r;
}

struct name_there {
	char name[IF_NAMESIZE];
	uint32_t ifindex;
};

static int index_there(void *arg)
{
	struct name_there *n = arg;

	n->ifindex = if_nametoindex(n->name);
	return n->ifindex != 0 ? 0 : -ENODEV;
}

static int find_pair(const struct if_place *place, uint32_t nr, uint32_t *ret_host, uint32_t *ret_app)
{
	struct name_there there;
	char host[IF_NAMESIZE];
	int r;

	host_name(nr, host);
	app_name(nr, there.name);
	*ret_host = if_nametoindex(host);
	if (*ret_host == 0)
		return -ENODEV;
	r = netns_do(place->netns_fd, index_there, &there);
	*ret_app = there.ifindex;
	return r;
}

static int make_pair(struct if_place *place, struct if_chan *c)
{
	char host[IF_NAMESIZE], app[IF_NAMESIZE];
	int r;

	host_name(c->rec.nr, host);
	app_name(c->rec.nr, app);
	r = rtnl_veth_new(&place->here, host, app, place->netns_fd, pair_mtu(c->rec.mtu));
	if (r < 0)
		return r;
	ip6_off(host);
	r = find_pair(place, c->rec.nr, &c->host_ifindex, &c->rec.xsk.ifindex);
	if (r == 0)
		r = rtnl_link_up(&place->here, c->host_ifindex);
	if (r == 0)
		r = rtnl_link_up(&place->there, c->rec.xsk.ifindex);
	return r == 0 ? host_offloads(c->host_ifindex) : r;
}

/* ---- the socket */

struct xsk_there {
	const struct xsk_params *params;
	struct xsk xsk;
};

static int make_there(void *arg)
{
	struct xsk_there *t = arg;
	int r = -EBUSY;

	for (unsigned i = 0; i < BIND_TRIES && r == -EBUSY; i++) {
		if (i > 0)
			usleep(BIND_PAUSE_US);
		r = xsk_make(t->params, &t->xsk);
	}
	return r;
}

/* Where it can't be had, frames come as ever. */
static void make_poll(const struct if_place *place, struct if_chan *c)
{
	struct if_poll poll;

	if (if_poll_open(place->netns_fd, place->packet_fd, c->host_ifindex, c->rec.xsk.ifindex, &poll) == 0) {
		c->rec.napi_id = poll.napi_id;
		c->poll_fd = poll.fd;
	}
}

void if_chan_poll(const struct if_place *place, struct if_chan *c, bool on)
{
	if (c->rec.napi_id != 0 && c->polled != on &&
	    if_poll_set(place->netns_fd, c->rec.napi_id, on ? IF_POLL_DEFER_NS : 0) == 0)
		c->polled = on;
}

/* ---- together */

static struct if_chan_config config_of(const struct if_place *place, const struct if_chan *c, const uint8_t mac[static 6])
{
	return (struct if_chan_config){
		.app = c->rec.nr,
		.mtu = c->rec.mtu,
		.mac = mac,
		.host_ifindex = c->host_ifindex,
		.app_ifindex = c->rec.xsk.ifindex,
		.netns_fd = place->netns_fd,
		.xsk_fd = -1,
		.frame_bytes = c->rec.xsk.frame_bytes,
		.rx_frame_cnt = c->rec.xsk.frame_cnt / 2,
		.spill_max = SPILL_MAX,
	};
}

static int attach_programs(const struct if_place *place, const struct if_dispatch *d, const struct if_chan *c,
			   const uint8_t mac[static 6], int xsk_fd)
{
	struct if_chan_config cfg = config_of(place, c, mac);
	int r;

	cfg.xsk_fd = xsk_fd;
	r = if_deliver_attach(&cfg);
	if (r == 0 && c->rec.napi_id != 0)
		r = if_poll_ready(place->netns_fd, c->rec.xsk.ifindex);
	return r == 0 ? if_gate_attach(d, &cfg) : r;
}

/* What vjd itself holds of a channel that is there. */
static int take_hold(const struct if_place *place, struct if_chan *c)
{
	int r = if_chan_maps_find(c->rec.xsk.ifindex, place->netns_fd, &c->maps);

	return r == 0 ? spill_new(place->netns_fd, c->rec.xsk.ifindex, c->host_ifindex, &c->maps, &c->spill) : r;
}

static struct if_chan *chan_new(const struct if_chan_record *rec)
{
	struct if_chan *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->rec = *rec;
	c->rec.magic = IF_CHAN_MAGIC;
	c->maps = (struct if_chan_maps){ -1, -1, -1 };
	c->poll_fd = -1;
	return c;
}

int if_chan_make(struct if_place *place, const struct if_dispatch *d, const struct if_chan_record *rec,
		 const uint8_t mac[static 6], struct xsk *ret_xsk, struct if_chan **ret_chan)
{
	struct if_chan *c = chan_new(rec);
	struct xsk_there t = { .xsk = { -1, -1, false } };
	int r;

	if (c == NULL)
		return -ENOMEM;
	r = make_pair(place, c);
	if (r == 0)
		make_poll(place, c);
	t.params = &c->rec.xsk;
	if (r == 0)
		r = netns_do(place->netns_fd, make_there, &t);
	c->rec.zero_copy = t.xsk.zero_copy;
	if (r == 0)
		r = attach_programs(place, d, c, mac, t.xsk.fd);
	if (r == 0)
		r = take_hold(place, c);
	if (r == 0)
		r = record_write(place->dir, &c->rec);
	/* last: from now on frames may come */
	if (r == 0 && bpf_map_update_elem(d->map_fds[IF_MAP_DEVS], &c->rec.nr, &c->host_ifindex, BPF_ANY) != 0)
		r = -errno;
	if (r < 0) {
		xsk_close(&t.xsk);
		if_dispatch_forget(d, c->rec.nr, c->host_ifindex);
		if_chan_remove(place, c);
		return r;
	}
	*ret_xsk = t.xsk;
	*ret_chan = c;
	return 0;
}

/* gate is the earlier vjd's, and may have other maps. */
static int gate_again(const struct if_place *place, const struct if_dispatch *d, const struct if_chan *c, const uint8_t mac[static 6])
{
	struct if_chan_config cfg = config_of(place, c, mac);

	return if_gate_attach(d, &cfg);
}

int if_chan_find(struct if_place *place, const struct if_dispatch *d, const struct if_chan_record *rec, const uint8_t mac[static 6],
		 struct if_chan **ret_chan)
{
	struct if_chan *c = chan_new(rec);
	uint32_t app_ifindex;
	int r;

	if (c == NULL)
		return -ENOMEM;
	r = find_pair(place, rec->nr, &c->host_ifindex, &app_ifindex);
	if (r == 0 && app_ifindex != rec->xsk.ifindex)
		r = -ENOENT;
	if (r == 0)
		r = take_hold(place, c);
	if (r == 0)
		r = gate_again(place, d, c, mac);
	if (r < 0) {
		if_chan_remove(place, c);
		return -ENOENT;
	}
	/* if its application polls, it says so again */
	if (c->rec.napi_id != 0)
		if_poll_set(place->netns_fd, c->rec.napi_id, 0);
	*ret_chan = c;
	return 0;
}

int if_chan_follow(struct if_place *place, const struct if_dispatch *d, struct if_chan *c, uint32_t mtu,
		   const uint8_t mac[static 6])
{
	struct if_chan_config cfg;
	int r = rtnl_link_mtu(&place->here, c->host_ifindex, pair_mtu(mtu));

	if (r == 0)
		r = rtnl_link_mtu(&place->there, c->rec.xsk.ifindex, pair_mtu(mtu));
	if (r < 0)
		return r;
	c->rec.mtu = mtu;
	cfg = config_of(place, c, mac);
	r = if_gate_configure(d, &cfg);
	return r == 0 ? record_write(place->dir, &c->rec) : r;
}

int if_chan_give(const struct if_place *place, struct if_chan *c, uint32_t uid, int32_t pid)
{
	c->rec.uid = uid;
	c->rec.pid = pid;
	return record_write(place->dir, &c->rec);
}

int if_chan_own(const struct if_place *place, struct if_chan *c, const struct ip_addr *addr)
{
	c->rec.own = *addr;
	return record_write(place->dir, &c->rec);
}

void if_chan_close(struct if_chan *c)
{
	if (c->poll_fd >= 0)
		close(c->poll_fd);
	spill_free(c->spill);
	if_chan_maps_close(&c->maps);
	free(c);
}

void if_chan_remove(struct if_place *place, struct if_chan *c)
{
	if (c->host_ifindex != 0)
		rtnl_link_del(&place->here, c->host_ifindex);
	if_chan_record_drop(place->dir, c->rec.nr);
	if_chan_close(c);
}

/* ---- what nobody knows any more */

void if_chan_scrap(struct if_place *place, uint32_t nr)
{
	uint32_t host, app;

	find_pair(place, nr, &host, &app);
	if (host != 0)
		rtnl_link_del(&place->here, host);
	if_chan_record_drop(place->dir, nr);
}

/* A name can be a stranger's: gate hangs there, or its peer is where only vjd makes devices. */
static bool is_pair_of_ours(const struct if_place *place, uint32_t nr)
{
	uint32_t host, app, id = 0;

	if (find_pair(place, nr, &host, &app) == 0)
		return true;
	return host != 0 && bpf_xdp_query_id((int)host, 0, &id) == 0 && own_prog_is(OWN_PROG_GATE, id, false);
}

unsigned if_chan_sweep(struct if_place *place)
{
	struct if_nameindex *all = if_nameindex();
	struct if_chan_record rec;
	unsigned cnt = 0;
	uint32_t nr;
	int r;

	for (const struct if_nameindex *i = all; i != NULL && i->if_index != 0; i++) {
		if (!if_name_is_ours(i->if_name) || sscanf(i->if_name, IF_NAME_HOST "%" SCNu32, &nr) != 1)
			continue;
		r = record_read(place->dir, nr, &rec);
		if ((r != -ENOENT && r != -EPROTO) || !is_pair_of_ours(place, nr))
			continue;
		if_chan_scrap(place, nr);
		cnt++;
	}
	if (all != NULL)
		if_freenameindex(all);
	return cnt;
}
