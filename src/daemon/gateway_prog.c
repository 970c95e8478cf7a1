// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/gateway_prog.h"

#include "daemon/tc_hook.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-conversion" /* bpftool writes it so */
#include "bpf/vj_gateway.skel.h"
#pragma GCC diagnostic pop

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PIN_DIR "gw"

static struct tc_hook place_of(const struct gateway_prog *p)
{
	return (struct tc_hook){ .ifindex = p->ifindex, .egress = true, .link = true, .prog = OWN_PROG_GATEWAY, .dir = p->pin_dir };
}

static int keep_fd(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, 3);
}

static int keep(struct gateway_prog *p, const struct vj_gateway *skel)
{
	p->maps = (struct learned_fds){
		.hosts = keep_fd(bpf_map__fd(skel->maps.learned_hosts)),
		.learned = keep_fd(bpf_map__fd(skel->maps.learned)),
		.asked = keep_fd(bpf_map__fd(skel->maps.asked)),
		.misses = keep_fd(bpf_map__fd(skel->maps.misses)),
	};
	p->counters_fd = keep_fd(bpf_map__fd(skel->maps.counters));
	p->prog_fd = keep_fd(bpf_program__fd(skel->progs.vj_gateway));
	return p->maps.hosts >= 0 && p->maps.learned >= 0 && p->maps.asked >= 0 && p->maps.misses >= 0 && p->counters_fd >= 0 &&
			       p->prog_fd >= 0
		       ? 0
		       : -EMFILE;
}

static int load(struct gateway_prog *p, uint32_t entry_max)
{
	struct vj_gateway *skel = vj_gateway__open();
	int r = skel != NULL ? 0 : -errno;

	if (r == 0)
		r = bpf_map__set_max_entries(skel->maps.learned, entry_max);
	if (r == 0)
		r = vj_gateway__load(skel);
	if (r == 0)
		r = keep(p, skel);
	vj_gateway__destroy(skel);
	return r;
}

static void close_all(struct gateway_prog *p)
{
	int *const fds[] = { &p->maps.hosts, &p->maps.learned, &p->maps.asked, &p->maps.misses, &p->counters_fd, &p->prog_fd };

	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

int gateway_prog_attach(uint32_t ifindex, uint32_t entry_max, struct gateway_prog *ret_prog)
{
	struct gateway_prog p = { .ifindex = ifindex, .maps = { -1, -1, -1, -1 }, .counters_fd = -1, .prog_fd = -1 };
	struct tc_hook place;
	int r;

	libbpf_set_print(NULL); /* what fails is said by whoever wanted it */
	r = if_pin_dir_make(PIN_DIR, ifindex, p.pin_dir);
	if (r < 0)
		return r;
	place = place_of(&p);
	r = load(&p, entry_max);
	if (r == 0)
		r = gateway_prog_again(&p);
	if (r < 0) {
		close_all(&p);
		if (!tc_hook_is_there(&place))
			if_pin_dir_remove(p.pin_dir);
		return r;
	}
	*ret_prog = p;
	return 0;
}

bool gateway_prog_holds(const struct gateway_prog *p)
{
	const struct tc_hook place = place_of(p);

	return tc_hook_holds(&place);
}

int gateway_prog_again(const struct gateway_prog *p)
{
	const struct tc_hook place = place_of(p);
	char dir[IF_PIN_DIR_BYTES];
	int r = if_pin_dir_make(PIN_DIR, p->ifindex, dir); /* it may have been lost, with the link in it */

	return r == 0 ? tc_hook_attach(&place, p->prog_fd) : r;
}

void gateway_prog_remove(struct gateway_prog *p)
{
	const struct tc_hook place = place_of(p);

	tc_hook_detach(&place);
	if_pin_dir_remove(p->pin_dir);
	close_all(p);
}
