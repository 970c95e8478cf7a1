// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/tc_link.h"

#include "daemon/if_pin.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <unistd.h>

#define PIN_LINK "gateway_link" /* nothing else asks for a link; earlier versions left it so */

/* enum bpf_attach_type of Linux 6.6, which the headers that this is built with may not have */
enum { TCX_INGRESS = 46, TCX_EGRESS = 47 };

static enum bpf_attach_type type_of(const struct tc_hook *h)
{
	return (enum bpf_attach_type)(h->egress ? TCX_EGRESS : TCX_INGRESS);
}

/* Return: ours, as it was pinned, attached or not; negative errno */
static int open_pinned(const struct tc_hook *h)
{
	char path[IF_PIN_PATH_BYTES];
	int fd;

	if_pin_path(h->dir, PIN_LINK, path);
	fd = bpf_obj_get(path);
	return fd >= 0 ? fd : -errno;
}

static void unpin(const struct tc_hook *h)
{
	char path[IF_PIN_PATH_BYTES];

	if_pin_path(h->dir, PIN_LINK, path);
	unlink(path);
}

static int pin(const struct tc_hook *h, int fd)
{
	char path[IF_PIN_PATH_BYTES];

	unpin(h); /* one that is attached no more */
	if_pin_path(h->dir, PIN_LINK, path);
	return bpf_obj_pin(fd, path) == 0 ? 0 : -errno;
}

bool tc_link_can_be(const struct tc_hook *h)
{
	uint32_t cnt = 0;

	/* the answer to a type that a kernel does not know is EINVAL */
	return bpf_prog_query((int)h->ifindex, type_of(h), 0, NULL, NULL, &cnt) == 0;
}

int tc_link_attach(const struct tc_hook *h, int prog_fd)
{
	int fd = open_pinned(h), r = fd >= 0 ? bpf_link_update(fd, prog_fd, NULL) : fd;

	if (fd >= 0)
		close(fd);
	if (r == 0)
		return 0;
	fd = bpf_link_create(prog_fd, (int)h->ifindex, type_of(h), NULL);
	if (fd < 0)
		return -errno;
	r = pin(h, fd);
	close(fd);
	return r;
}

bool tc_link_is_there(const struct tc_hook *h)
{
	struct bpf_link_info info = { 0 };
	uint32_t bytes = sizeof(info);
	int fd = open_pinned(h);
	bool is;

	if (fd < 0)
		return false;
	/* XDP's place in the union is tcx's: the interface, 0 if it is attached no more */
	is = bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 && info.xdp.ifindex == h->ifindex;
	close(fd);
	return is;
}

void tc_link_detach(const struct tc_hook *h)
{
	int fd = open_pinned(h);

	if (fd < 0)
		return;
	bpf_link_detach(fd);
	close(fd);
	unpin(h);
}
