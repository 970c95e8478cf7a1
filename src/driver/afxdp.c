// SPDX-License-Identifier: BSD-2-Clause
#include "driver/afxdp.h"

#include <errno.h>
#include <linux/if_xdp.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "channel/area_map.h"
#include "channel/attach.h"
#include "channel/ring.h"
#include "channel/sys.h"

#ifndef SOL_XDP
#define SOL_XDP 283
#endif

enum {
	XDP_RING_CNT = 4,
	/* Calls for one burst that bring nothing forward; after so many the rest waits for the next publication. */
	KICKS_IN_VAIN_MAX = 16,
};

_Static_assert(sizeof(struct xdp_desc) == sizeof(struct ring_desc), "ring.h is the kernel's layout");
_Static_assert(XDP_RING_NEED_WAKEUP == RING_NEED_WAKEUP, "ring.h is the kernel's layout");

struct mapping {
	void *mem; /* NULL: none */
	size_t bytes;
};

struct afxdp {
	int fd;
	struct vj_channel *ch;
	struct area_mapping umem;
	struct mapping rings[XDP_RING_CNT];
	struct mapping credit;
	_Atomic uint32_t *posted; /* in `credit`; NULL: nobody wants to know */
	const _Atomic uint32_t *fill_flags, *tx_consumer, *rx_producer;
	uint32_t tx_next; /* published up to here */
	uint32_t rx_seen; /* *rx_producer after the last poll */
	int poll_fd;
	uint64_t tx_calls, polls;
};

/* ---- the kernel's side of a publication ---------------------------------------------------------------------------- */

static uint32_t tx_left(const struct afxdp *x)
{
	return x->tx_next - atomic_load_explicit(x->tx_consumer, memory_order_acquire);
}

/*
 * EAGAIN: more than a call takes, or no memory for copies until some have left. EBUSY: the device's queue was full and
 * a frame is lost, as on any network. Both: go on. Anything else: the device is down or gone, and calling again is of no use.
 * Return: false: frames are left, and go as soon as others have left.
 */
static bool tx_kick(struct afxdp *x)
{
	uint32_t left = tx_left(x);
	unsigned in_vain = 0;

	while (left != 0 && in_vain < KICKS_IN_VAIN_MAX) {
		uint32_t before = left;
		long err = sys_sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0);

		x->tx_calls++;
		if (err < 0 && err != -EAGAIN && err != -EBUSY && err != -ENOBUFS)
			return true;
		left = tx_left(x);
		in_vain = left == before ? in_vain + 1 : 0;
	}
	return left == 0;
}

/* Frames were put in the fill ring: that is credit. A driver without copies may also sleep until it is called. */
static bool fill_published(struct afxdp *x, uint32_t next)
{
	if (x->posted)
		atomic_store_explicit(x->posted, next, memory_order_release);
	if (!(atomic_load_explicit(x->fill_flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP))
		return false;
	sys_recvfrom(x->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
	return true;
}

static bool afxdp_wake(void *arg, bool fill, uint32_t next)
{
	struct afxdp *x = arg;

	if (fill)
		return fill_published(x, next);
	x->tx_next = next;
	tx_kick(x);
	return true;
}

bool afxdp_flush(struct afxdp *x)
{
	if (vj_channel_error(x->ch) != VJ_CHANNEL_ERR_NONE)
		return true;
	if (!tx_kick(x))
		return false;
	/* Of a device that is up, with all frames on their way, the first are back any moment. */
	return tx_left(x) != 0 || vj_channel_tx_ready(x->ch);
}

uint32_t afxdp_poll(struct afxdp *x)
{
	uint32_t before = x->rx_seen;
	uint8_t byte;

	x->rx_seen = atomic_load_explicit(x->rx_producer, memory_order_relaxed);
	if (x->poll_fd < 0 || x->rx_seen != before)
		return 0;
	x->polls++;
	sys_recvfrom(x->poll_fd, &byte, sizeof(byte), MSG_DONTWAIT, NULL, NULL);
	x->rx_seen = atomic_load_explicit(x->rx_producer, memory_order_relaxed);
	return x->rx_seen - before;
}

/* ---- opening ------------------------------------------------------------------------------------------------------- */

/* For our own end alone: a child of fork() must not have two processes act as one. */
static int map_shared(int fd, uint64_t offset, size_t bytes, struct mapping *ret_map)
{
	int saved_errno = errno, err = 0;
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t)offset);

	if (mem == MAP_FAILED || madvise(mem, bytes, MADV_DONTFORK) < 0)
		err = -errno;
	if (err < 0 && mem != MAP_FAILED)
		munmap(mem, bytes);
	errno = saved_errno;
	if (err == 0)
		*ret_map = (struct mapping){ .mem = mem, .bytes = bytes };
	return err;
}

static void unmap(const struct mapping *map)
{
	int saved_errno = errno;

	if (map->mem)
		munmap(map->mem, map->bytes);
	errno = saved_errno;
}

struct ring_spec {
	uint64_t page_offset;
	const struct xdp_ring_offset *at;
	uint32_t cnt;
	size_t entry_bytes;
	struct channel_ring *ring;
};

static int map_ring(struct afxdp *x, unsigned idx, const struct ring_spec *spec)
{
	size_t bytes = spec->at->desc + (size_t)spec->cnt * spec->entry_bytes;
	int err = map_shared(x->fd, spec->page_offset, bytes, &x->rings[idx]);

	if (err < 0)
		return err;
	*spec->ring = (struct channel_ring){
		.mem = x->rings[idx].mem,
		.at = { .producer = spec->at->producer,
			.consumer = spec->at->consumer,
			.desc = spec->at->desc,
			.flags = spec->at->flags },
		.cnt = spec->cnt,
	};
	return 0;
}

static const _Atomic uint32_t *ring_word(const struct channel_ring *ring, uint64_t offset)
{
	return (const _Atomic uint32_t *)(const void *)((const uint8_t *)ring->mem + offset);
}

static int map_rings(struct afxdp *x, const struct afxdp_params *p, struct channel_rings *rings)
{
	struct xdp_mmap_offsets at;
	socklen_t at_bytes = sizeof(at);
	int err = sys_getsockopt(x->fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &at_bytes);
	const struct ring_spec specs[XDP_RING_CNT] = {
		{ XDP_PGOFF_RX_RING, &at.rx, p->rx_cnt, sizeof(struct xdp_desc), &rings->rx },
		{ XDP_PGOFF_TX_RING, &at.tx, p->tx_cnt, sizeof(struct xdp_desc), &rings->tx },
		{ XDP_UMEM_PGOFF_FILL_RING, &at.fr, p->fill_cnt, sizeof(uint64_t), &rings->fill },
		{ XDP_UMEM_PGOFF_COMPLETION_RING, &at.cr, p->completion_cnt, sizeof(uint64_t), &rings->completion },
	};

	if (err < 0)
		return err;
	/* Before Linux 5.4 there were no flags. */
	if (at_bytes != sizeof(at))
		return -EOPNOTSUPP;
	for (unsigned i = 0; i < XDP_RING_CNT; i++) {
		err = map_ring(x, i, &specs[i]);
		if (err < 0)
			return err;
	}
	x->fill_flags = ring_word(&rings->fill, rings->fill.at.flags);
	x->tx_consumer = ring_word(&rings->tx, rings->tx.at.consumer);
	x->rx_producer = ring_word(&rings->rx, rings->rx.at.producer);
	return 0;
}

static int map_credit(struct afxdp *x, int credit_fd)
{
	int err;

	if (credit_fd < 0)
		return 0;
	err = map_shared(credit_fd, 0, 4096, &x->credit);
	x->posted = x->credit.mem;
	return err;
}

static int afxdp_init(struct afxdp *x, const struct afxdp_params *p)
{
	struct channel_rings rings = {
		.frame_bytes = p->frame_bytes,
		.rx_frame_cnt = p->frame_cnt / 2,
		.tx_frame_cnt = p->frame_cnt / 2,
		.wake = afxdp_wake,
		.wake_arg = x,
	};
	int err;

	x->fd = p->xsk_fd;
	x->poll_fd = p->poll_fd;
	err = map_rings(x, p, &rings);
	if (err == 0)
		err = map_credit(x, p->credit_fd);
	if (err == 0)
		err = area_map_bytes(p->umem_fd, (size_t)p->frame_bytes * p->frame_cnt, &x->umem);
	if (err < 0)
		return err;
	rings.frames = x->umem.mem;
	return channel_attach_kernel(&rings, &x->ch);
}

int afxdp_open(const struct afxdp_params *params, struct afxdp **ret_xdp)
{
	struct afxdp *x;
	int err;

	/* Sizes first: what is mapped follows from them. A page is the largest frame of a UMEM that is mapped in small ones. */
	if ((params->frame_bytes != 2048 && params->frame_bytes != 4096) || params->frame_cnt < 4 ||
	    params->frame_cnt > 131072 || !bits_is_pow2(params->frame_cnt) || params->rx_cnt > 131072 ||
	    params->tx_cnt > 131072 || params->fill_cnt > 131072 || params->completion_cnt > 131072)
		return -EINVAL;
	x = calloc(1, sizeof(*x));
	if (!x)
		return -ENOMEM;
	err = afxdp_init(x, params);
	if (err < 0) {
		afxdp_close(x);
		return err;
	}
	*ret_xdp = x;
	return 0;
}

void afxdp_close(struct afxdp *x)
{
	if (!x)
		return;
	vj_channel_detach(x->ch);
	area_unmap(&x->umem);
	unmap(&x->credit);
	for (unsigned i = 0; i < XDP_RING_CNT; i++)
		unmap(&x->rings[i]);
	free(x);
}

struct vj_channel *afxdp_channel(struct afxdp *x)
{
	return x->ch;
}

int afxdp_stats(const struct afxdp *x, struct afxdp_stats *ret_stats)
{
	struct xdp_statistics st = { 0 };
	socklen_t bytes = sizeof(st);
	int err = sys_getsockopt(x->fd, SOL_XDP, XDP_STATISTICS, &st, &bytes);

	if (err < 0)
		return err;
	*ret_stats = (struct afxdp_stats){
		.rx_dropped = st.rx_dropped,
		.rx_ring_full = st.rx_ring_full,
		.rx_fill_empty = st.rx_fill_ring_empty_descs,
		.tx_calls = x->tx_calls,
		.polls = x->polls,
	};
	return 0;
}
