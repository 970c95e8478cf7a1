// SPDX-License-Identifier: BSD-2-Clause
/*
 * A device and queue has one socket's memory: the next is refused. veth has no zero copy, which is an error when
 * asked for by name, and else a silent copy, told only by XDP_OPTIONS.
 */
#include "platform.h"

int main(void)
{
	struct xdp_options options = { .flags = UINT32_MAX };
	socklen_t len = sizeof(options);
	struct xsk first, second, zero_copy;

	devices();
	zero_copy = xsk_new(64);
	EXPECT(xsk_bind(&zero_copy, "a1", XDP_ZEROCOPY) == -1 && errno == EOPNOTSUPP);
	close(zero_copy.fd);
	first = xsk_new(64);
	EXPECT(xsk_bind(&first, "a1", 0) == 0);
	EXPECT(getsockopt(first.fd, SOL_XDP, XDP_OPTIONS, &options, &len) == 0);
	EXPECT(!(options.flags & XDP_OPTIONS_ZEROCOPY));
	second = xsk_new(64);
	EXPECT(xsk_bind(&second, "a1", XDP_COPY) == -1 && errno == EBUSY);
	EXPECT(xsk_bind(&second, "b1", XDP_COPY) == 0);
	return 0;
}
