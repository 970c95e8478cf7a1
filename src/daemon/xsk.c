// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/xsk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_xdp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int memory_make(uint64_t bytes)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = memfd_create("vj-umem", MFD_CLOEXEC | MFD_ALLOW_SEALING), r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)bytes) == 0 && fcntl(fd, F_ADD_SEALS, seals) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

static int option(int fd, int name, const void *value, socklen_t bytes)
{
	return setsockopt(fd, SOL_XDP, name, value, bytes) == 0 ? 0 : -errno;
}

/* The kernel pins the pages; our mapping isn't needed for longer. */
static int memory_register(const struct xsk *xsk, const struct xsk_params *p)
{
	size_t bytes = (size_t)p->frame_bytes * p->frame_cnt;
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, xsk->umem_fd, 0);
	struct xdp_umem_reg reg;
	int r;

	if (mem == MAP_FAILED)
		return -errno;
	memset(&reg, 0, sizeof(reg));
	reg.addr = (uintptr_t)mem;
	reg.len = bytes;
	reg.chunk_size = p->frame_bytes;
	r = option(xsk->fd, XDP_UMEM_REG, &reg, sizeof(reg));
	munmap(mem, bytes);
	return r;
}

static int rings_make(const struct xsk *xsk, const struct xsk_params *p)
{
	int r = option(xsk->fd, XDP_UMEM_FILL_RING, &p->fill_cnt, sizeof(p->fill_cnt));

	if (r == 0)
		r = option(xsk->fd, XDP_UMEM_COMPLETION_RING, &p->comp_cnt, sizeof(p->comp_cnt));
	if (r == 0)
		r = option(xsk->fd, XDP_RX_RING, &p->rx_cnt, sizeof(p->rx_cnt));
	if (r == 0)
		r = option(xsk->fd, XDP_TX_RING, &p->tx_cnt, sizeof(p->tx_cnt));
	return r;
}

/* Without COPY or ZEROCOPY the kernel takes what the driver can do; which one is asked afterwards. */
static int bind_it(struct xsk *xsk, const struct xsk_params *p)
{
	struct sockaddr_xdp name = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = XDP_USE_NEED_WAKEUP,
		.sxdp_ifindex = p->ifindex,
		.sxdp_queue_id = p->queue,
	};
	struct xdp_options opts = { 0 };
	socklen_t bytes = sizeof(opts);

	if (bind(xsk->fd, (const struct sockaddr *)&name, sizeof(name)) != 0)
		return -errno;
	if (getsockopt(xsk->fd, SOL_XDP, XDP_OPTIONS, &opts, &bytes) == 0)
		xsk->zero_copy = (opts.flags & XDP_OPTIONS_ZEROCOPY) != 0;
	return 0;
}

int xsk_make(const struct xsk_params *params, struct xsk *ret_xsk)
{
	struct xsk xsk = { .umem_fd = -1 };
	int r;

	xsk.fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (xsk.fd < 0)
		return errno == EAFNOSUPPORT ? -EOPNOTSUPP : -errno;
	r = xsk.umem_fd = memory_make((uint64_t)params->frame_bytes * params->frame_cnt);
	if (r >= 0)
		r = memory_register(&xsk, params);
	if (r == 0)
		r = rings_make(&xsk, params);
	if (r == 0)
		r = bind_it(&xsk, params);
	if (r < 0) {
		xsk_close(&xsk);
		return r;
	}
	*ret_xsk = xsk;
	return 0;
}

void xsk_close(struct xsk *xsk)
{
	if (xsk->fd >= 0)
		close(xsk->fd);
	if (xsk->umem_fd >= 0)
		close(xsk->umem_fd);
	xsk->fd = xsk->umem_fd = -1;
}
