// SPDX-License-Identifier: BSD-2-Clause
/*
 * afxdp.h - a channel whose other end is the kernel: an AF_XDP socket
 *
 * The socket comes bound, with its memory registered and its rings made, from somebody with the privilege for it (vjd);
 * here the rings are mapped and become a channel end (<vj/channel.h>), for which no privilege is needed. Documents:
 * Documentation/networking/af_xdp.rst of the kernel.
 *
 * Half of the frames are for receiving, half for sending. A burst is sent by vj_channel_tx_publish(), which calls the kernel as
 * often as the kernel wants it (32 frames a call in copy mode). The kernel signals received frames by the socket
 * becoming readable: a sleeper watches the socket as it would a doorbell.
 *
 * `credit` is how deliver (src/bpf) knows what is free in the fill ring; struct policy_credit there.
 */
#ifndef VJ_DRIVER_AFXDP_H
#define VJ_DRIVER_AFXDP_H

#include <vj/channel.h>

#include "base/types.h"

struct afxdp;

struct afxdp_params {
	int xsk_fd;	/* bound AF_XDP socket; stays the caller's, must outlive the driver */
	int umem_fd;	/* its memory, a sealed memfd; only used during afxdp_open() */
	int credit_fd;	/* map with one word for deliver, only used during afxdp_open(); -1: nobody wants to know */
	int poll_fd;	/* a socket a read of which runs the device's poll; stays the caller's, like @xsk_fd; -1: none */
	uint32_t frame_bytes; /* 2048 or 4096 */
	uint32_t frame_cnt; /* in all, a power of two, >= 4 */
	/* Entries of the rings, powers of two. Why the latter two are longer: channel/attach.h */
	uint32_t rx_cnt, completion_cnt; /* >= frame_cnt / 2 */
	uint32_t tx_cnt, fill_cnt; /* >= frame_cnt */
};

/* Since the socket was made; see XDP_STATISTICS in af_xdp.rst. */
struct afxdp_stats {
	uint64_t rx_dropped;	 /* longer than a frame, or lost for another reason */
	uint64_t rx_ring_full;
	uint64_t rx_fill_empty; /* no free frame: with credits kept, never */
	uint64_t tx_calls; /* system calls for sending */
	uint64_t polls; /* and for polling */
};

/**
 * afxdp_open() - Take a socket over as a channel end
 * Return: 0; -EINVAL: a number is out of range, contradicts the rings, or the rings have been used already; -EPERM,
 * -EMSGSIZE: the memory isn't sealed, or not @frame_bytes * @frame_cnt; -ENOMEM; errors of mmap(2), getsockopt(2).
 */
int afxdp_open(const struct afxdp_params *params, struct afxdp **ret_xdp);

/** afxdp_close() - Unmap everything and end the channel; NULL is allowed. Frames still in the kernel's hands go lost. */
void afxdp_close(struct afxdp *xdp);

/** afxdp_channel() - The channel end; lives as long as the driver */
struct vj_channel *afxdp_channel(struct afxdp *xdp);

/**
 * afxdp_flush() - Call the kernel again for frames that it did not take when they were published
 * Nothing tells a sleeper when the kernel can take more frames, or has given some back. So who gets false does not sleep.
 * Return: true: it has all of them, and there are more to send in; or the device is down. false: not yet.
 */
bool afxdp_flush(struct afxdp *xdp);

/**
 * afxdp_poll() - Run the device's poll, so that what waits in it comes into the ring; nothing if frames have come since the last time
 * One system call. Only while the kernel leaves it to us (vjd's POLLING): else both would do it, in each other's way.
 * Return: frames that it brought
 */
uint32_t afxdp_poll(struct afxdp *xdp);

/** afxdp_stats() - One system call. Return: 0; -errno of getsockopt(2). */
int afxdp_stats(const struct afxdp *xdp, struct afxdp_stats *ret_stats);

#endif
