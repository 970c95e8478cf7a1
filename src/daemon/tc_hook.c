// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/tc_hook.h"

#include "daemon/if_pin.h"
#include "daemon/rtnl.h"
#include "daemon/tc_link.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/pkt_sched.h>
#include <unistd.h>

#define MARK "clsact" /* a directory of pins that says: the qdisc was made by us */

enum {
	TC_HANDLE = 1,
	TC_PRIORITY = 65000, /* behind whatever has not been given one, or a usual one: who filters comes first */
};

static enum bpf_tc_attach_point point_of(const struct tc_hook *h)
{
	return h->egress ? BPF_TC_EGRESS : BPF_TC_INGRESS;
}

/* Return: the program in our place; 0: none */
static uint32_t there(const struct tc_hook *h)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)h->ifindex, .attach_point = point_of(h));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	return bpf_tc_query(&hook, &opts) == 0 ? opts.prog_id : 0;
}

int tc_hook_left(const struct tc_hook *h)
{
	return own_prog_open(h->prog, there(h));
}

/* @unsure: as own_prog_is() */
static bool filter_is_ours(const struct tc_hook *h, bool unsure)
{
	return own_prog_is(h->prog, there(h), unsure);
}

/* ---- the qdisc */

struct filter_count {
	unsigned all, not_ours;
};

static int count_filter(const struct nlmsghdr *nlh, void *arg)
{
	const struct tcmsg *tcm = mnl_nlmsg_get_payload(nlh);
	struct filter_count *cnt = arg;

	if (nlh->nlmsg_type != RTM_NEWTFILTER)
		return MNL_CB_OK;
	cnt->all++;
	cnt->not_ours += TC_H_MAJ(tcm->tcm_info) >> 16 != TC_PRIORITY;
	return MNL_CB_OK;
}

static int count_filters(struct rtnl *rtnl, uint32_t ifindex, uint32_t parent, struct filter_count *cnt)
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

/* Nobody has hung anything on it, on either side. */
static bool qdisc_is_empty(uint32_t ifindex)
{
	static const uint32_t sides[] = { TC_H_MIN_INGRESS, TC_H_MIN_EGRESS };
	struct filter_count cnt = { .all = 0 };
	struct rtnl rtnl = { .sock = NULL };
	int r = rtnl_open(&rtnl);

	for (unsigned i = 0; i < ARRAY_SIZE(sides) && r == 0; i++)
		r = count_filters(&rtnl, ifindex, TC_H_MAKE(TC_H_CLSACT, sides[i]), &cnt);
	rtnl_close(&rtnl);
	return r == 0 && cnt.all == 0;
}

static void qdisc_drop(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);
	char mark[IF_PIN_DIR_BYTES];

	if (!if_pin_dir_is_there(MARK, ifindex, mark) || !qdisc_is_empty(ifindex))
		return;
	bpf_tc_hook_destroy(&hook);
	if_pin_dir_remove(mark);
}

static int qdisc_make(uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)ifindex, .attach_point = BPF_TC_INGRESS);
	int r = bpf_tc_hook_create(&hook);
	char mark[IF_PIN_DIR_BYTES];

	if (r == 0)
		if_pin_dir_make(MARK, ifindex, mark); /* else it stays when we go: no harm */
	return r == -EEXIST ? 0 : r;
}

/* ---- the filter */

static int filter_attach(const struct tc_hook *h, int prog_fd)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)h->ifindex, .attach_point = point_of(h));
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog_fd, .handle = TC_HANDLE, .priority = TC_PRIORITY,
		    .flags = BPF_TC_F_REPLACE);
	int r;

	if (there(h) != 0 && !filter_is_ours(h, false))
		return -EBUSY;
	r = qdisc_make(h->ifindex);
	return r == 0 ? bpf_tc_attach(&hook, &opts) : r;
}

static void filter_detach(const struct tc_hook *h)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)h->ifindex, .attach_point = point_of(h));
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = TC_HANDLE, .priority = TC_PRIORITY);

	if (filter_is_ours(h, false))
		bpf_tc_detach(&hook, &opts);
	qdisc_drop(h->ifindex);
}

/* Nobody else's filter is there, which a link would come before. */
static bool is_alone(const struct tc_hook *h)
{
	uint32_t parent = TC_H_MAKE(TC_H_CLSACT, h->egress ? TC_H_MIN_EGRESS : TC_H_MIN_INGRESS);
	struct filter_count cnt = { .all = 0 };
	struct rtnl rtnl = { .sock = NULL };
	int r = rtnl_open(&rtnl);

	if (r == 0)
		r = count_filters(&rtnl, h->ifindex, parent, &cnt);
	rtnl_close(&rtnl);
	return r == 0 && cnt.not_ours == 0;
}

/* ---- either */

static bool wants_link(const struct tc_hook *h)
{
	return h->link && tc_link_can_be(h) && is_alone(h);
}

int tc_hook_attach(const struct tc_hook *h, int prog_fd)
{
	int r;

	if (wants_link(h) && tc_link_attach(h, prog_fd) == 0) {
		filter_detach(h);
		return 0;
	}
	r = filter_attach(h, prog_fd);
	if (r == 0)
		tc_link_detach(h);
	return r;
}

bool tc_hook_is_there(const struct tc_hook *h)
{
	return tc_link_is_there(h) || filter_is_ours(h, true);
}

bool tc_hook_holds(const struct tc_hook *h)
{
	return wants_link(h) ? tc_link_is_there(h) : filter_is_ours(h, true);
}

void tc_hook_detach(const struct tc_hook *h)
{
	tc_link_detach(h);
	filter_detach(h);
}
