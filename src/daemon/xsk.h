/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xsk.h - an AF_XDP socket with its memory and rings, bound, ready to be handed to an application
 *
 * Documentation/networking/af_xdp.rst. Bound before it is passed on: an unbound socket could be bound by who gets it to any
 * queue of its namespace. The receiver only maps the rings and the memory, for which no privilege is needed.
 */
#ifndef DAEMON_XSK_H
#define DAEMON_XSK_H

#include "base/types.h"

struct xsk_params {
	uint32_t ifindex, queue;
	uint32_t frame_bytes, frame_cnt; /* powers of two; 2048 or 4096 bytes */
	uint32_t rx_cnt, tx_cnt, fill_cnt, comp_cnt;
};

struct xsk {
	int fd;	     /* -1: none */
	int umem_fd; /* sealed memfd of frame_bytes * frame_cnt; -1: none */
	bool zero_copy;
};

/**
 * xsk_make() - In the network namespace of the calling thread; the device is up
 * Return: 0; -EBUSY: the queue has a socket already, or the kernel still takes an old one down; -EOPNOTSUPP; -ENOBUFS: locked memory;
 * -ENOMEM
 */
int xsk_make(const struct xsk_params *params, struct xsk *ret_xsk);

/** xsk_close() - Our descriptors of it */
void xsk_close(struct xsk *xsk);

#endif
