// SPDX-License-Identifier: BSD-2-Clause
#include "tests/fuzz/vjd_platform.h"

#include "base/assert.h"
#include "base/time.h"
#include "daemon/app.h"
#include "daemon/host_watch.h"
#include "daemon/if_state.h"
#include "daemon/interfaces.h"
#include "daemon/repair.h"
#include "daemon/spill.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct interfaces s;
static struct iface iface;
static struct host_image image;
static struct host_table table;
static struct if_work_list todo, done;
static bool delay, fail;
static unsigned chan_cnt; /* that were made and not removed */
static uint32_t last_nr;

/* ---- if_maker.h, without a thread */

static void work_do(struct if_work *w)
{
	if (w->kind == IF_WORK_REMOVE) {
		if_chan_remove(NULL, w->chan);
		free(w);
		return;
	}
	w->result = fail ? -ENOMEM : if_chan_make(NULL, &w->dispatch, &w->rec, w->mac, &w->xsk, &w->chan);
	TAILQ_INSERT_TAIL(&done, w, queued);
}

void if_maker_submit(struct if_maker *m, struct if_work *w)
{
	(void)m;
	if (delay && w->kind != IF_WORK_REMOVE)
		TAILQ_INSERT_TAIL(&todo, w, queued);
	else
		work_do(w);
}

static struct if_work *take_first(struct if_work_list *list)
{
	struct if_work *w = TAILQ_FIRST(list);

	if (w != NULL)
		TAILQ_REMOVE(list, w, queued);
	return w;
}

struct if_work *if_maker_reap(struct if_maker *m)
{
	(void)m;
	return take_first(&done);
}

void if_maker_part(struct if_maker *m, uint32_t ifindex)
{
	struct if_work *w;

	(void)m;
	VJ_ASSERT_OP(ifindex, ==, (uint32_t)PLATFORM_IFINDEX);
	while ((w = take_first(&todo)) != NULL) {
		w->result = -ENODEV;
		TAILQ_INSERT_TAIL(&done, w, queued);
	}
}

/* vjd's own start and end of interfaces are not used here. */
int if_maker_new(int netns_fd, const char *dir, struct if_maker **ret_maker)
{
	(void)netns_fd;
	(void)dir;
	(void)ret_maker;
	return -ENOSYS;
}

void if_maker_free(struct if_maker *m)
{
	(void)m;
}

int if_maker_fd(const struct if_maker *m)
{
	(void)m;
	return -1;
}

/* ---- if_chan.h: descriptors are real, so that what is left open shows */

static int some_fd(void)
{
	int fd = dup(STDERR_FILENO);

	VJ_ASSERT(fd >= 0);
	return fd;
}

uint64_t if_chan_memory_bytes(const struct if_chan_record *rec)
{
	return (uint64_t)rec->xsk.frame_bytes * rec->xsk.frame_cnt;
}

uint32_t if_chan_frame_max(const struct if_chan *c)
{
	return c->rec.mtu;
}

int if_chan_make(struct if_place *place, const struct if_dispatch *d, const struct if_chan_record *rec, const uint8_t mac[static 6],
		 struct xsk *ret_xsk, struct if_chan **ret_chan)
{
	struct if_chan *c = calloc(1, sizeof(*c));

	(void)place;
	(void)d;
	(void)mac;
	VJ_ASSERT(c != NULL);
	c->rec = *rec;
	last_nr = rec->nr;
	c->maps = (struct if_chan_maps){ .deliver_state = -1, .credit = some_fd(), .counters = -1 };
	c->poll_fd = rec->nr % 2 != 0 ? some_fd() : -1;
	*ret_xsk = (struct xsk){ some_fd(), some_fd(), false };
	*ret_chan = c;
	chan_cnt++;
	return 0;
}

int if_chan_own(const struct if_place *place, struct if_chan *c, const struct ip_addr *addr)
{
	(void)place;
	c->rec.own = *addr;
	return fail ? -ENOSPC : 0;
}

int if_chan_give(const struct if_place *place, struct if_chan *c, uint32_t uid, int32_t pid)
{
	(void)place;
	c->rec.uid = uid;
	c->rec.pid = pid;
	return fail ? -ENOSPC : 0;
}

int if_chan_follow(struct if_place *place, const struct if_dispatch *d, struct if_chan *c, uint32_t mtu, const uint8_t mac[static 6])
{
	(void)place;
	(void)d;
	(void)mac;
	c->rec.mtu = mtu;
	return 0;
}

void if_chan_poll(const struct if_place *place, struct if_chan *c, bool on)
{
	(void)place;
	c->polled = on;
}

void if_chan_close(struct if_chan *c)
{
	if (c->poll_fd >= 0)
		close(c->poll_fd);
	close(c->maps.credit);
	free(c);
	chan_cnt--;
}

void if_chan_remove(struct if_place *place, struct if_chan *c)
{
	(void)place;
	if_chan_close(c);
}

void if_chan_scrap(struct if_place *place, uint32_t nr)
{
	(void)place;
	(void)nr;
}

unsigned if_chan_sweep(struct if_place *place)
{
	(void)place;
	return 0;
}

int if_chan_find(struct if_place *place, const struct if_dispatch *d, const struct if_chan_record *rec, const uint8_t mac[static 6],
		 struct if_chan **ret_chan)
{
	(void)place;
	(void)d;
	(void)rec;
	(void)mac;
	(void)ret_chan;
	return -ENOENT;
}

void if_chan_records(const char *dir, void (*fn)(void *arg, const struct if_chan_record *rec), void *arg)
{
	(void)dir;
	(void)fn;
	(void)arg;
}

void if_chan_record_drop(const char *dir, uint32_t nr)
{
	(void)dir;
	(void)nr;
}

/* ---- spill.h: nothing is spilled */

int spill_new(int netns_fd, uint32_t app_ifindex, uint32_t host_ifindex, const struct if_chan_maps *maps, struct spill **ret_spill)
{
	(void)netns_fd;
	(void)app_ifindex;
	(void)host_ifindex;
	(void)maps;
	(void)ret_spill;
	return -ENOSYS;
}

void spill_free(struct spill *spill)
{
	(void)spill;
}

int spill_fd(const struct spill *spill)
{
	(void)spill;
	return -1;
}

void spill_run(struct spill *spill, uint64_t now_ns)
{
	(void)spill;
	(void)now_ns;
}

uint64_t spill_deadline_ns(const struct spill *spill)
{
	(void)spill;
	return TIME_NEVER;
}

void spill_stats(const struct spill *spill, struct spill_stats *ret_stats)
{
	(void)spill;
	*ret_stats = (struct spill_stats){ .held = 1 };
}

/* ---- host_watch.h: one interface, 10.0.0.1/24, a default route, no neighbours */

int host_watch_new(const struct host_watch_ops *ops, void *arg, struct host_watch **ret_watch)
{
	(void)ops;
	(void)arg;
	(void)ret_watch;
	return -ENOSYS;
}

void host_watch_free(struct host_watch *w)
{
	(void)w;
}

int host_watch_fd(const struct host_watch *w)
{
	(void)w;
	return -1;
}

int host_watch_table_fd(const struct host_watch *w)
{
	(void)w;
	return STDERR_FILENO;
}

void host_watch_run(struct host_watch *w, uint64_t now_ns)
{
	(void)w;
	(void)now_ns;
}

void host_watch_reread(struct host_watch *w, uint64_t now_ns)
{
	host_watch_run(w, now_ns);
}

uint64_t host_watch_deadline_ns(const struct host_watch *w)
{
	(void)w;
	return TIME_NEVER;
}

const struct host_table *host_watch_table(const struct host_watch *w)
{
	(void)w;
	return &table;
}

const struct host_image *host_watch_image(const struct host_watch *w)
{
	(void)w;
	return &image;
}

const struct host_interface *host_watch_find(const struct host_watch *w, const char *name, uint32_t ifindex)
{
	(void)w;
	return name == NULL && ifindex == PLATFORM_IFINDEX ? &image.interfaces[0] : NULL;
}

void host_watch_attach(struct host_watch *w, uint32_t ifindex, bool attached)
{
	(void)w;
	(void)ifindex;
	(void)attached;
}

bool host_watch_judged(struct host_watch *w, uint32_t ifindex, bool judged)
{
	(void)w;
	(void)ifindex;
	(void)judged;
	return false;
}

int host_watch_resolve(struct host_watch *w, uint32_t ifindex, const struct ip_addr *addr)
{
	(void)w;
	(void)ifindex;
	return addr->bytes[15] % 2 != 0 ? -EINVAL : 0;
}

/* ---- if_blocks.c, which tells the kernel */

int blocks_reserve(struct interfaces *of)
{
	(void)of;
	return 0;
}

uint16_t interfaces_take_ports(struct app *app, const struct ctl_ports *req, uint16_t *ret_first)
{
	struct vjd *d = app->d;

	return port_map_take(&d->ports, &d->leases, &app->ports, req->proto, req->first, req->cnt, if_has_channel(app), ret_first);
}

/* ---- repair.h: the kernel isn't asked */

int repair_make(const struct repair_job *job, int queues_fd, int *ret_fd)
{
	VJ_ASSERT(fcntl(queues_fd, F_GETFD) >= 0 && fcntl(job->flows_fd, F_GETFD) >= 0 && job->conn.local_port % 2 != 0);
	if (fail)
		return -EADDRNOTAVAIL;
	*ret_fd = some_fd();
	return 0;
}

/* ---- libbpf: maps that are empty and take everything; but flows at odd ports are those of the channel that was made last */

int bpf_map_update_elem(int fd, const void *key, const void *value, __u64 flags)
{
	(void)fd;
	(void)key;
	(void)value;
	(void)flags;
	return 0;
}

static int nothing_there(void)
{
	errno = ENOENT;
	return -1;
}

int bpf_map_lookup_elem(int fd, const void *key, void *value)
{
	const struct policy_flow *flow = key;

	if (fd != iface.dispatch.map_fds[IF_MAP_FLOWS] || be16_get(flow->local_port) % 2 == 0)
		return nothing_there();
	memcpy(value, &last_nr, sizeof(last_nr));
	return 0;
}

int bpf_map_delete_elem(int fd, const void *key)
{
	(void)fd;
	(void)key;
	return nothing_there();
}

int bpf_map_get_next_key(int fd, const void *key, void *next_key)
{
	(void)fd;
	(void)key;
	(void)next_key;
	return nothing_there();
}

int bpf_map_lookup_batch(int fd, void *in_batch, void *out_batch, void *keys, void *values, __u32 *count,
			 const struct bpf_map_batch_opts *opts)
{
	(void)fd;
	(void)in_batch;
	(void)out_batch;
	(void)keys;
	(void)values;
	(void)opts;
	*count = 0;
	return nothing_there();
}

/* ---- its life */

static void make_host(void)
{
	const struct ip_addr addr = ip_addr_from_v4(be32(0x0a000001));

	image = (struct host_image){ .interface_cnt = 1, .addr_cnt = 1, .route_cnt = 1 };
	image.interfaces[0] = (struct host_interface){ .ifindex = PLATFORM_IFINDEX, .mtu = 1500, .flags = HOST_IF_UP | HOST_IF_ATTACHED,
						       .mac = { 2, 0, 0, 0, 0, 1 }, .name = "eth0" };
	image.addrs[0] = (struct host_addr){ .addr = addr, .ifindex = PLATFORM_IFINDEX };
	image.routes[0] = (struct host_prefix){ .ifindex = PLATFORM_IFINDEX, .source = addr };
	host_table_init(&table);
	host_table_publish(&table, &image);
}

void platform_begin(struct vjd *d)
{
	if (image.interface_cnt == 0)
		make_host();
	TAILQ_INIT(&todo);
	TAILQ_INIT(&done);
	delay = fail = false;
	memset(&s, 0, sizeof(s));
	s.d = d;
	s.epoll_fd = -1;
	s.ready = true;
	s.maker = (struct if_maker *)&s; /* never looked into */
	s.place.netns_fd = -1;
	TAILQ_INIT(&s.ifaces);
	TAILQ_INIT(&s.resolves);
	TAILQ_INIT(&s.under_way);
	memset(&iface, 0, sizeof(iface));
	iface.s = &s;
	iface.ifindex = PLATFORM_IFINDEX;
	iface.dispatch.map_fds[IF_MAP_FLOWS] = STDERR_FILENO;
	iface.mtu = 1500;
	memcpy(iface.mac, image.interfaces[0].mac, sizeof(iface.mac));
	memcpy(iface.name, "eth0", 5);
	TAILQ_INIT(&iface.chans);
	TAILQ_INSERT_TAIL(&s.ifaces, &iface, entry);
	d->interfaces = &s;
}

void platform_delay(bool on)
{
	delay = on;
}

void platform_fail(bool on)
{
	fail = on;
}

void platform_finish(struct vjd *d)
{
	struct if_work *w;

	while ((w = take_first(&todo)) != NULL)
		work_do(w);
	platform_run(d);
}

void platform_run(struct vjd *d)
{
	works_finish(d->interfaces);
	(void)resolve_expire(d->interfaces);
}

void platform_change(struct vjd *d, uint32_t mtu)
{
	struct if_chan *c;

	(void)d;
	iface.mtu = mtu;
	TAILQ_FOREACH (c, &iface.chans, entry)
		chan_follow(&s, &iface, c);
	iface_spare(&s, &iface);
}

void platform_end(struct vjd *d)
{
	VJ_ASSERT(TAILQ_EMPTY(&iface.chans));
	VJ_ASSERT(TAILQ_EMPTY(&s.resolves));
	iface_part(&s, &iface);
	works_finish(&s);
	VJ_ASSERT(TAILQ_EMPTY(&s.under_way));
	VJ_ASSERT_OP(chan_cnt, ==, 0u);
	d->interfaces = NULL;
}
