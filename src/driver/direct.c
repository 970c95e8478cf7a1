// SPDX-License-Identifier: BSD-2-Clause
/*
 * direct.c - the driver interface of 2006 over a channel end
 *
 * A receive buffer of the application is a frame to send in, seen from the far end; see <vj/driver.h>.
 */
#include <vj/driver.h>

#include <errno.h>

#include "base/types.h"

int vj_get_buffer(struct vj_channel *ch, uint32_t len, struct vj_buf *ret_buf)
{
	struct vj_buf buf;

	if (unlikely(vj_channel_error(ch)))
		return -EPIPE;
	if (unlikely(len == 0 || len > vj_channel_room(ch)))
		return -EMSGSIZE;
	if (unlikely(vj_channel_tx_get(ch, &buf, 1) == 0))
		return vj_channel_error(ch) ? -EPIPE : -ENOBUFS;
	buf.len = len;
	*ret_buf = buf;
	return 0;
}

void vj_netif_rx(struct vj_channel *ch, const struct vj_buf *buf)
{
	vj_channel_tx_put(ch, buf, 1);
}

void vj_netif_rx_flush(struct vj_channel *ch)
{
	vj_channel_tx_publish(ch);
}
