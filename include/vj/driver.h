/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * driver.h - the side of a channel that has the packet
 *
 * A driver moves frames between a channel and the world. It holds the far end of an application's channel and uses
 * the two calls that the network channels of 2006 gave to drivers:
 *
 *	vj_get_buffer(ch, len, &buf)   a buffer of the application that is to receive; chosen *before* the data moves
 *	vj_netif_rx(ch, &buf)          the data is there: hand it up
 *
 * They are vj_channel_tx_get() and vj_channel_tx_put() seen from the far end, so the code that fills and drains rings
 * exists once. A program that sends on a direct channel is the driver of its peer: it composes headers and payload
 * straight in the receiver's buffer.
 *
 * Thread rule and hostile-peer rule: as in <vj/channel.h>.
 */
#ifndef VJ_DRIVER_H
#define VJ_DRIVER_H

#include <vj/channel.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * vj_get_buffer() - Take a receive buffer of the application at the other end
 * @ch:      The driver's end
 * @len:     Bytes that are going to be stored, 1..vj_channel_room()
 * @ret_buf: Buffer with room for @len and @len set; held until vj_netif_rx() or vj_channel_tx_unget()
 *
 * Makes no system call.
 * Return: 0; -EMSGSIZE: @len is 0 or more than a frame holds; -ENOBUFS: the application has no free buffer (spill or drop: the
 * caller decides); -EPIPE: the channel is closed.
 */
VJ_API int vj_get_buffer(struct vj_channel *ch, uint32_t len, struct vj_buf *ret_buf);

/**
 * vj_netif_rx() - Hand a filled buffer up to the application, in order of the calls
 * @buf: From vj_get_buffer() of the same @ch; no longer the caller's
 *
 * The application sees it at the next vj_netif_rx_flush(), which a driver calls once a burst.
 */
VJ_API void vj_netif_rx(struct vj_channel *ch, const struct vj_buf *buf);

/** vj_netif_rx_flush() - End of a burst: publish, and wake the application if it sleeps (then one system call) */
VJ_API void vj_netif_rx_flush(struct vj_channel *ch);

#ifdef __cplusplus
}
#endif
#endif
