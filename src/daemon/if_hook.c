// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_hook.h"

#include "daemon/rtnl.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIN_XDP "dispatch_prog"
#define PIN_TC "dispatch_tc"
#define PIN_CLSACT "clsact" /* the qdisc that filters hang on was made by us */

enum {
	TC_HANDLE = 1,
	TC_PRIORITY = 65000, /* behind whatever has not been given one, or a usual one: who filters comes first */
};

/* ---- pins: what is attached has PIN, or PIN_new if it was about to be attached when vjd was killed */

static void pin_path(const char *dir, const char *name, const char *suffix, char path[static 160])
{
	snprintf(path, 160, "%s/%s%s", dir, name, suffix);
}

static int prog_id(int fd, uint32_t *ret_id)
{
	struct bpf_prog_info info = { 0 };
	uint32_t bytes = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &bytes) != 0)
		return -errno;
	*ret_id = info.id;
	return 0;
}

static int get_if_id(const char *path, uint32_t id)
{
	uint32_t found = 0;
	int fd = bpf_obj_get(path);

	if (fd >= 0 && prog_id(fd, &found) == 0 && found == id)
		return fd;
	if (fd >= 0)
		close(fd);
	return -ENOENT;
}

/* Return: the program if it is pinned and has this id; -ENOENT */
static int pinned_with_id(const char *dir, const char *name, uint32_t id)
{
	char path[160], fresh[160];
	int fd;

	pin_path(dir, name, "", path);
	pin_path(dir, name, "_new", fresh);
	fd = get_if_id(path, id);
	if (fd >= 0)
		return fd;
	fd = get_if_id(fresh, id);
	if (fd >= 0) /* done now, what a killed vjd has not come to */
		rename(fresh, path);
	return fd;
}

static bool is_ours(const char *dir, const char *name, uint32_t id)
{
	int fd = id != 0 ? pinned_with_id(dir, name, id) : -ENOENT;

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static int pin_before(const char *dir, const char *name, int fd)
{
	char path[160];

	pin_path(dir, name, "_new", path);
	unlink(path);
	return bpf_obj_pin(fd, path) == 0 ? 0 : -errno;
}

static int pin_after(const char *dir, const char *name)
{
	char fresh[160], path[160];

	pin_path(dir, name, "_new", fresh);
	pin_path(dir, name, "", path);
	return rename(fresh, path) == 0 ? 0 : -errno;
}

bool if_hook_is_pinned(const char *pin_dir)
{
	static const char *const names[] = { PIN_XDP, PIN_TC };
	char path[160], fresh[160];

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		pin_path(pin_dir, names[i], "", path);
		pin_path(pin_dir, names[i], "_new", fresh);
		if (access(path, F_OK) == 0 || access(fresh, F_OK) == 0)
			return true;
	}
	return false;
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

	opts.old_prog_fd = id != 0 ? pinned_with_id(dir, PIN_XDP, id) : -ENOENT;
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
	int r = pin_before(dir, PIN_XDP, prog_fd);

	if (r < 0)
		return r;
	r = xdp_set(ifindex, prog_fd, old_fd);
	*ret_refused = r < 0 && r != -EPERM;
	if (r < 0)
		return r;
	r = pin_after(dir, PIN_XDP);
	if (r < 0) /* one that no vjd would know as its own must not stay */
		xdp_detach(ifindex, dir);
	return r;
}

/* ---- tc */

/* Return: the program in our place; 0: none */
static uint32_t tc_there(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	return bpf_tc_query(&hook, &opts) == 0 ? opts.prog_id : 0;
}

static int count_filter(const struct nlmsghdr *nlh, void *arg)
{
	*(unsigned *)arg += nlh->nlmsg_type == RTM_NEWTFILTER;
	return MNL_CB_OK;
}

static int count_filters(struct rtnl *rtnl, uint32_t ifindex, uint32_t parent, unsigned *cnt)
{
	_Alignas(struct nlmsghdr) char buf[128];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct tcmsg *tcm;

	nlh->nlmsg_type = RTM_GETTFILTER;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	tcm = mnl_nlmsg_put_extra_header(nlh, sizeof(*tcm));
	tcm->tcm_ifindex = (int)ifindex;
	tcm->tcm_parent = parent;
	return rtnl_call(rtnl, nlh, count_filter, cnt);
}

/* Ours, and nobody has hung anything else on it. */
static bool clsact_is_done_with(uint32_t ifindex, const char *dir)
{
	static const uint32_t sides[] = { TC_H_MIN_INGRESS, TC_H_MIN_EGRESS };
	struct rtnl rtnl;
	char path[160];
	unsigned cnt = 0;
	int r;

	pin_path(dir, PIN_CLSACT, "", path);
	if (access(path, F_OK) != 0 || rtnl_open(&rtnl) < 0)
		return false;
	r = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(sides) && r == 0; i++)
		r = count_filters(&rtnl, ifindex, TC_H_MAKE(TC_H_CLSACT, sides[i]), &cnt);
	rtnl_close(&rtnl);
	return r == 0 && cnt == 0;
}

static void tc_detach(uint32_t ifindex, const char *dir)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	if (is_ours(dir, PIN_TC, tc_there(ifindex)))
		bpf_tc_detach(&hook, &opts);
	hook.attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS;
	if (clsact_is_done_with(ifindex, dir))
		bpf_tc_hook_destroy(&hook);
}

static int tc_set(uint32_t ifindex, const char *dir, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = TC_HANDLE, .priority = TC_PRIORITY,
		    .flags = BPF_TC_F_REPLACE);
	uint32_t there = tc_there(ifindex);
	char path[160];
	int r;

	if (there != 0 && !is_ours(dir, PIN_TC, there))
		return -EBUSY;
	r = bpf_tc_hook_create(&hook);
	if (r == 0) {
		pin_path(dir, PIN_CLSACT, "", path);
		bpf_obj_pin(prog_fd, path); /* else it stays when we go: no harm */
	}
	return r == 0 || r == -EEXIST ? bpf_tc_attach(&hook, &opts) : r;
}

static int tc_attach(uint32_t ifindex, const char *dir, int prog_fd)
{
	int r = pin_before(dir, PIN_TC, prog_fd);

	if (r == 0)
		r = tc_set(ifindex, dir, prog_fd);
	if (r < 0)
		return r;
	r = pin_after(dir, PIN_TC);
	if (r < 0)
		tc_detach(ifindex, dir);
	return r;
}

/* ---- together */

static int to_tc(uint32_t ifindex, const char *pin_dir, int prog_fd)
{
	int r = tc_attach(ifindex, pin_dir, prog_fd);

	if (r == 0)
		xdp_detach(ifindex, pin_dir);
	return r;
}

int if_hook_attach(uint32_t ifindex, const char *pin_dir, const struct if_hook_progs *progs, bool at_tc, enum if_hook *ret_hook)
{
	uint32_t id = xdp_there(ifindex);
	int r = 0, old_fd = id != 0 ? pinned_with_id(pin_dir, PIN_XDP, id) : -1;

	at_tc |= (id != 0 && old_fd < 0) || is_ours(pin_dir, PIN_TC, tc_there(ifindex));
	if (!at_tc)
		r = xdp_attach(ifindex, pin_dir, progs->xdp_fd, old_fd, &at_tc);
	if (old_fd >= 0)
		close(old_fd);
	/* wanted, or the other place is not to be had, or somebody was faster there */
	if (at_tc)
		r = to_tc(ifindex, pin_dir, progs->tc_fd);
	if (r == 0)
		*ret_hook = at_tc ? IF_HOOK_TC : IF_HOOK_XDP;
	return r;
}

bool if_hook_holds(uint32_t ifindex, const char *pin_dir, enum if_hook hook)
{
	if (hook == IF_HOOK_TC)
		return is_ours(pin_dir, PIN_TC, tc_there(ifindex));
	return is_ours(pin_dir, PIN_XDP, xdp_there(ifindex));
}

void if_hook_detach(uint32_t ifindex, const char *pin_dir, enum if_hook hook)
{
	if (hook == IF_HOOK_TC)
		tc_detach(ifindex, pin_dir);
	else
		xdp_detach(ifindex, pin_dir);
}
