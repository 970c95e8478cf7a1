// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_hook.h"

#include "daemon/own_prog.h"
#include "daemon/tc_hook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <unistd.h>

/* ---- XDP */

static uint32_t xdp_there(uint32_t ifindex)
{
	uint32_t id = 0;

	return bpf_xdp_query_id((int)ifindex, 0, &id) == 0 ? id : 0;
}

static void xdp_detach(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts, .old_prog_fd = own_prog_open(OWN_PROG_DISPATCH, xdp_there(ifindex)));

	if (opts.old_prog_fd < 0)
		return;
	bpf_xdp_detach((int)ifindex, XDP_FLAGS_REPLACE | XDP_FLAGS_DRV_MODE, &opts);
	close(opts.old_prog_fd);
}

/* @old_fd: what is there now, and ours; -1: nothing may be there */
static int xdp_attach(uint32_t ifindex, int prog_fd, int old_fd)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	uint32_t how = XDP_FLAGS_UPDATE_IF_NOEXIST;

	if (old_fd >= 0) {
		opts.old_prog_fd = old_fd;
		how = XDP_FLAGS_REPLACE;
	}
	return bpf_xdp_attach((int)ifindex, prog_fd, how | XDP_FLAGS_DRV_MODE, &opts);
}

/* ---- together */

static struct tc_hook tc_place(uint32_t ifindex, const char *pin_dir)
{
	return (struct tc_hook){ .ifindex = ifindex, .prog = OWN_PROG_DISPATCH_TC, .dir = pin_dir };
}

int if_hook_attach(uint32_t ifindex, const char *pin_dir, const struct if_hook_progs *progs, bool at_tc, enum if_hook *ret_hook)
{
	const struct tc_hook tc = tc_place(ifindex, pin_dir);
	uint32_t id = xdp_there(ifindex);
	int r = 0, old_fd = own_prog_open(OWN_PROG_DISPATCH, id);

	if (old_fd < 0 && old_fd != -ENOENT) /* it may be ours */
		return old_fd;
	at_tc |= (id != 0 && old_fd < 0) || (old_fd < 0 && tc_hook_holds(&tc));
	if (!at_tc) {
		r = xdp_attach(ifindex, progs->xdp_fd, old_fd);
		at_tc = r < 0 && r != -EPERM;
	}
	if (old_fd >= 0)
		close(old_fd);
	/* wanted, or the other place is not to be had, or somebody was faster there */
	if (at_tc)
		r = tc_hook_attach(&tc, progs->tc_fd);
	if (r < 0)
		return r;
	if (at_tc)
		xdp_detach(ifindex);
	else
		tc_hook_detach(&tc);
	*ret_hook = at_tc ? IF_HOOK_TC : IF_HOOK_XDP;
	return 0;
}

bool if_hook_holds(uint32_t ifindex, const char *pin_dir, enum if_hook hook)
{
	const struct tc_hook tc = tc_place(ifindex, pin_dir);

	return hook == IF_HOOK_TC ? tc_hook_holds(&tc) : own_prog_is(OWN_PROG_DISPATCH, xdp_there(ifindex), true);
}

int if_hook_left(uint32_t ifindex)
{
	const struct tc_hook tc = tc_place(ifindex, "");
	int fd = own_prog_open(OWN_PROG_DISPATCH, xdp_there(ifindex));

	return fd >= 0 ? fd : tc_hook_left(&tc);
}

void if_hook_detach(uint32_t ifindex, const char *pin_dir)
{
	const struct tc_hook tc = tc_place(ifindex, pin_dir);

	tc_hook_detach(&tc);
	xdp_detach(ifindex);
}
