// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_hook.h"

#include "daemon/if_pin.h"
#include "daemon/tc_hook.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <unistd.h>

#define PIN_XDP "dispatch_prog"
#define PIN_TC "dispatch_tc"

bool if_hook_is_pinned(const char *pin_dir)
{
	return if_pin_is_there(pin_dir, PIN_XDP) || if_pin_is_there(pin_dir, PIN_TC);
}

/* ---- XDP */

static uint32_t xdp_there(uint32_t ifindex)
{
	uint32_t id = 0;

	return bpf_xdp_query_id((int)ifindex, 0, &id) == 0 ? id : 0;
}

static void xdp_detach(uint32_t ifindex, const char *dir)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	uint32_t id = xdp_there(ifindex);

	opts.old_prog_fd = id != 0 ? if_pin_with_id(dir, PIN_XDP, id) : -ENOENT;
	if (opts.old_prog_fd < 0)
		return;
	bpf_xdp_detach((int)ifindex, XDP_FLAGS_REPLACE | XDP_FLAGS_DRV_MODE, &opts);
	close(opts.old_prog_fd);
}

/* @old_fd: what is there now, and ours; -1: nothing may be there */
static int xdp_set(uint32_t ifindex, int prog_fd, int old_fd)
{
	LIBBPF_OPTS(bpf_xdp_attach_opts, opts);
	uint32_t how = XDP_FLAGS_UPDATE_IF_NOEXIST;

	if (old_fd >= 0) {
		opts.old_prog_fd = old_fd;
		how = XDP_FLAGS_REPLACE;
	}
	return bpf_xdp_attach((int)ifindex, prog_fd, how | XDP_FLAGS_DRV_MODE, &opts);
}

/* @ret_refused: the place is not to be had; else a failure is one of ours */
static int xdp_attach(uint32_t ifindex, const char *dir, int prog_fd, int old_fd, bool *ret_refused)
{
	int r = if_pin_before(dir, PIN_XDP, prog_fd);

	if (r < 0)
		return r;
	r = xdp_set(ifindex, prog_fd, old_fd);
	*ret_refused = r < 0 && r != -EPERM;
	if (r < 0) {
		if_pin_undo(dir, PIN_XDP);
		return r;
	}
	r = if_pin_after(dir, PIN_XDP);
	if (r < 0) /* one that no vjd would know as its own must not stay */
		xdp_detach(ifindex, dir);
	return r;
}

/* ---- tc */

static struct tc_hook tc_place(uint32_t ifindex, const char *pin_dir)
{
	return (struct tc_hook){ .ifindex = ifindex, .dir = pin_dir, .name = PIN_TC };
}

/* ---- together */

int if_hook_attach(uint32_t ifindex, const char *pin_dir, const struct if_hook_progs *progs, bool at_tc, enum if_hook *ret_hook)
{
	const struct tc_hook tc = tc_place(ifindex, pin_dir);
	uint32_t id = xdp_there(ifindex);
	int r = 0, old_fd = id != 0 ? if_pin_with_id(pin_dir, PIN_XDP, id) : -1;

	at_tc |= (id != 0 && old_fd < 0) || tc_hook_holds(&tc);
	if (!at_tc)
		r = xdp_attach(ifindex, pin_dir, progs->xdp_fd, old_fd, &at_tc);
	if (old_fd >= 0)
		close(old_fd);
	/* wanted, or the other place is not to be had, or somebody was faster there */
	if (at_tc)
		r = tc_hook_attach(&tc, progs->tc_fd);
	if (at_tc && r == 0)
		xdp_detach(ifindex, pin_dir);
	if (r == 0)
		*ret_hook = at_tc ? IF_HOOK_TC : IF_HOOK_XDP;
	return r;
}

bool if_hook_holds(uint32_t ifindex, const char *pin_dir, enum if_hook hook)
{
	const struct tc_hook tc = tc_place(ifindex, pin_dir);

	if (hook == IF_HOOK_TC)
		return tc_hook_holds(&tc);
	return if_pin_is_ours(pin_dir, PIN_XDP, xdp_there(ifindex));
}

void if_hook_detach(uint32_t ifindex, const char *pin_dir, enum if_hook hook)
{
	const struct tc_hook tc = tc_place(ifindex, pin_dir);

	if (hook == IF_HOOK_TC)
		tc_hook_detach(&tc);
	else
		xdp_detach(ifindex, pin_dir);
}
