// SPDX-License-Identifier: BSD-2-Clause
/* tap.h - whoever wants to see the frames that pass a driver or a channel */
#ifndef VJ_DRIVER_TAP_H
#define VJ_DRIVER_TAP_H

#include "base/types.h"

enum tap_dir {
	TAP_RX, /* to the application */
	TAP_TX, /* from the application */
};

/* `frame` may be NULL: nobody looks. The bytes are only lent for the call. */
struct tap {
	void (*frame)(void *ctx, enum tap_dir dir, uint64_t now_ns, const void *bytes,
		      uint32_t len);
	void *ctx;
};

static inline void tap_frame(const struct tap *tap, enum tap_dir dir, uint64_t now_ns,
			     const void *bytes, uint32_t len)
{
	if (unlikely(tap->frame))
		tap->frame(tap->ctx, dir, now_ns, bytes, len);
}

#endif
