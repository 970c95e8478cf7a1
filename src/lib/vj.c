// SPDX-License-Identifier: BSD-2-Clause
/* vj.c - an application: opening, leaving, forking, numbers */
#include "channel/bell.h"
#include "channel/sys.h"
#include "driver/pcap.h"
#include "lib/wait.h"
#include "lib/own_fd.h"
#include "lib/move.h"
#include "lib/sysctl.h"
#include "vj_version.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONNS_DEFAULT 16000000u
#define SPIN_US_DEFAULT 50

void lib_log(const struct vj *vj, int level, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	if (!vj->log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	vj->log(vj->log_arg, level, line);
}

uint64_t lib_clock_ns(void)
{
	return sys_clock_ns();
}

const char *vj_version(void)
{
	return VJ_VERSION_STRING;
}

/* ---- memory of the stack --------------------------------------------------------------------------------------- */

static void *chunk_get(void *arg, size_t bytes)
{
	return arena_get(&((struct vj *)arg)->arena, bytes);
}

/* It goes with the arena: a stack gives back nothing before its end. */
static void chunk_put(void *arg, void *p, size_t bytes)
{
	(void)arg;
	(void)p;
	(void)bytes;
}

static uint64_t host_memory_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);

	return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes : UINT64_C(1) << 30;
}

static unsigned cpu_cnt(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned)CPU_COUNT(&set);
}

bool vj_may_spin(const struct vj *vj, bool alone)
{
	return vj->link_cnt > 0 && (!alone || vj->link_cnt == vj->ifl_cnt);
}

/* ---- open ------------------------------------------------------------------------------------------------------ */

static int options_check(const struct vj_options *o)
{
	if (o->sz != sizeof(*o) || o->spin_us < -1 || o->spin_us > 1000000 || o->conns_max > 1u << 24 ||
	    o->mtu_probing > VJ_MTU_PROBING_ALWAYS)
		return -EINVAL;
	if (o->socket_path && strlen(o->socket_path) >= sizeof(((struct vj *)0)->socket_path))
		return -EINVAL;
	return 0;
}

static uint8_t mtu_probing_of(uint8_t wanted)
{
	static const uint8_t modes[] = {
		[VJ_MTU_PROBING_HOST] = STACK_MTU_PROBE_BLACK_HOLE, /* until the host's is known */
		[VJ_MTU_PROBING_OFF] = STACK_MTU_PROBE_OFF,
		[VJ_MTU_PROBING_BLACK_HOLE] = STACK_MTU_PROBE_BLACK_HOLE,
		[VJ_MTU_PROBING_ALWAYS] = STACK_MTU_PROBE_ALWAYS,
	};

	return modes[wanted];
}

void lib_host_settings(struct vj *vj)
{
	struct tcp_settings *set = &vj->stack_cfg.tcp;

	sysctl_read(SYSCTL_DIR, set);
	if (vj->mtu_probing != VJ_MTU_PROBING_HOST)
		set->mtu_probing = mtu_probing_of(vj->mtu_probing);
	tcp_settings_set(vj->stack, set);
}

static void options_apply(struct vj *vj, const struct vj_options *o)
{
	int32_t spin_us = o->spin_us ? o->spin_us : SPIN_US_DEFAULT;

	vj->log = o->log;
	vj->log_arg = o->log_arg;
	if (o->socket_path)
		memcpy(vj->socket_path, o->socket_path, strlen(o->socket_path) + 1); /* options_check() */
	ctl_name_set(vj->name, o->name && o->name[0] ? o->name : program_invocation_short_name);
	vj->alone = cpu_cnt() == 1;
	if (spin_us > 0 && (!vj->alone || sysconf(_SC_NPROCESSORS_ONLN) > 1)) /* the latter reads a file */
		vj->spin_ns = (uint64_t)spin_us * 1000;
	vj->mtu_probing = o->mtu_probing;
	vj->stack_cfg = (struct stack_config){
		.conns_max = o->conns_max ? o->conns_max : CONNS_DEFAULT,
		.mem_bytes_max = o->mem_bytes_max ? o->mem_bytes_max : host_memory_bytes() / 2,
		.sndbuf_bytes = o->sndbuf_bytes,
		.rcvbuf_bytes = o->rcvbuf_bytes,
		.tcp.mtu_probing = mtu_probing_of(o->mtu_probing),
		.mem_get = chunk_get,
		.mem_put = chunk_put,
		.mem_arg = vj,
	};
}

static int stack_open(struct vj *vj)
{
	struct stack_config *cfg = &vj->stack_cfg;

	if (!sys_random(cfg->secret, sizeof(cfg->secret)) || !sys_random(&cfg->seed, sizeof(cfg->seed)))
		return -EIO;
	vj->flow = (uint32_t)cfg->seed; /* not everybody's first connection to the same owner */
	return stack_create(cfg, lib_clock_ns() / 1000, &vj->stack);
}

/* What needs nothing of vjd's */
struct own_parts {
	struct vj *vj;
	int err;
};

static void own_parts_make(void *arg)
{
	struct own_parts *p = arg;
	struct vj *vj = p->vj;

	vj->bell_fd = OWN_FD_MAKE(bell_set_new());
	p->err = vj->bell_fd < 0 ? vj->bell_fd : stack_open(vj);
}

int vj_open(const struct vj_options *opts, struct vj **ret_vj)
{
	return vj_open_within(opts, CTL_CLIENT_TIMEOUT_MS, ret_vj);
}

int vj_open_within(const struct vj_options *opts, int timeout_ms, struct vj **ret_vj)
{
	struct vj_options defaults = VJ_OPTIONS_INIT;
	struct own_parts own = { .err = 0 };
	struct vj *vj;
	int err;

	if (!opts)
		opts = &defaults;
	err = options_check(opts);
	if (err)
		return err;
	own.vj = vj = calloc(1, sizeof(*vj));
	if (!vj)
		return -ENOMEM;
	options_apply(vj, opts);
	vj->move_ns = vj->stopped_ns = UINT64_MAX;
	vj->bell_fd = -1;
	/* Where there is no vjd nothing was made in vain; else it answers meanwhile, and most often this process need not sleep. */
	err = control_dial(vj, timeout_ms, &(struct ctl_meanwhile){ own_parts_make, &own });
	if (err)
		goto fail_dial;
	err = own.err;
	if (!err && opts->pcap_path)
		err = capture_open(opts->pcap_path, &vj->capture);
	if (!err)
		err = control_begin(vj);
	if (err)
		goto fail;
	*ret_vj = vj;
	return 0;

fail:
	capture_close(vj->capture);
	ctl_client_close(vj->ctl);
fail_dial:
	stack_destroy(vj->stack);
	arena_close(&vj->arena);
	own_fd_close(vj->bell_fd);
	free(vj);
	return err;
}

/* ---- leave ----------------------------------------------------------------------------------------------------- */

/* How often peers are told that we leave: there may be no frame at first, for all of many connections. Who was told has answered by then, or doesn't run. */
enum { TELL_MS = 10 };

int vj_drain(struct vj *vj, int timeout_ms)
{
	uint64_t until_ns = lib_clock_ns() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * 1000000;
	uint64_t tell_ns = 0;

	for (;;) {
		int64_t timeout_ns, left_ns;
		struct pollfd pfd = { .fd = vj->bell_fd, .events = POLLIN };

		vj_process(vj);
		if (!stack_unsent(vj->stack))
			return 0;
		if (vj->now_ns >= tell_ns) {
			stack_leaving(vj->stack);
			link_publish_all(vj);
			tell_ns = vj->now_ns + TELL_MS * NS_PER_MS;
		}
		if (vj->now_ns >= until_ns)
			return -ETIMEDOUT;
		left_ns = (int64_t)(min_u64(until_ns, tell_ns) - vj->now_ns);
		if (!vj_arm(vj, &timeout_ns))
			continue;
		if (timeout_ns < 0 || timeout_ns > left_ns)
			timeout_ns = left_ns;
		sys_poll_ms(&pfd, 1, (int)(timeout_ns / 1000000 + 1));
		vj_disarm(vj);
	}
}

void vj_close(struct vj *vj)
{
	if (!vj)
		return;
	/* Peers hear of it from vjd, after what is in their rings: what wasn't closed is reset there. */
	for (unsigned i = 0; i < vj->link_cnt; i++)
		link_kill(vj->links[i], VJ_CHANNEL_ERR_CLOSED, true);
	link_reap(vj);
	move_forget_all(vj);
	ctl_client_close(vj->ctl);
	lease_forget_all(vj);
	stack_destroy(vj->stack);
	arena_close(&vj->arena);
	capture_close(vj->capture);
	own_fd_close(vj->bell_fd);
	free(vj->links);
	free(vj);
}

void vj_leave(struct vj *vj)
{
	if (!vj)
		return;
	if (vj->ifl_cnt || vj->raw_cnt) {
		vj_close(vj);
		return;
	}
	ctl_client_close(vj->ctl);
	vj->ctl = NULL;
	capture_close(vj->capture);
	vj->capture = NULL;
}

void vj_forked(struct vj *vj)
{
	if (!vj)
		return;
	for (unsigned i = 0; i < vj->link_cnt; i++)
		link_forget(vj->links[i]);
	move_forget_all(vj);
	ctl_client_forget(vj->ctl);
	lease_forget_all(vj);
	arena_forget(&vj->arena);
	/* Of a capture half written the child has a copy, which is the parent's business. */
	own_fd_close(vj->bell_fd);
	free(vj->links);
	free(vj);
}

/* ---- numbers --------------------------------------------------------------------------------------------------- */

int vj_stats(const struct vj *vj, struct vj_stats *ret_stats)
{
	struct stack_stats st;

	if (ret_stats->sz != sizeof(*ret_stats))
		return -EINVAL;
	stack_stats(vj->stack, &st);
	*ret_stats = (struct vj_stats){
		.sz = sizeof(*ret_stats),
		.rx_frames = st.rx_frames,
		.tx_frames = st.tx_frames,
		.rx_bytes = vj->rx_bytes_closed,
		.tx_bytes = vj->tx_bytes_closed,
		.wakes_sent = vj->wakes_closed,
		.sleeps = vj->sleeps,
		.spins_won = vj->spins_won,
		.spins_lost = vj->spins_lost,
		.tcp_conns = st.tcp_conns,
		.tcp_opened = st.tcp_opened,
		.tcp_accepted = st.tcp_accepted,
		.tcp_retransmits = st.tcp_retransmits,
		.tcp_resets_rx = st.tcp_resets_rx,
		.tcp_resets_tx = st.tcp_resets_tx,
		.channels = vj->link_cnt,
		.channels_closed = vj->channels_violated,
		.mem_bytes = st.mem_bytes,
	};
	for (unsigned i = 0; i < STACK_DROP_CNT; i++)
		ret_stats->drops += st.drops[i];
	for (unsigned i = 0; i < vj->link_cnt; i++) {
		struct vj_channel_stats ch;

		vj_channel_stats(vj->links[i]->ch, &ch);
		ret_stats->rx_bytes += ch.rx_bytes;
		ret_stats->tx_bytes += ch.tx_bytes;
		ret_stats->wakes_sent += ch.wakes_sent;
	}
	return 0;
}

uint64_t vj_drops(const struct vj *vj, unsigned why)
{
	struct stack_stats st;

	stack_stats(vj->stack, &st);
	return why < STACK_DROP_CNT ? st.drops[why] : 0;
}

const char *vj_drop_name(unsigned why)
{
	return stack_drop_name((enum stack_drop)why);
}

const char *vj_drop_text(unsigned why)
{
	return why < STACK_DROP_CNT ? stack_drop_text((enum stack_drop)why) : NULL;
}
