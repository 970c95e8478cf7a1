// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sending in copy mode: nothing leaves without a call, the flag that asks for it never goes away, a call takes 32 frames
 * and says EAGAIN if there are more, and a call that waits is refused. A tap on the sending device sees nothing of it;
 * whoever is to see or stop it has to sit at the other end.
 */
#include "platform.h"

int main(void)
{
	int own, other;
	struct xsk x;

	devices();
	x = xsk_new(256);
	EXPECT(xsk_bind(&x, "a1", XDP_COPY | XDP_USE_NEED_WAKEUP) == 0);
	xsk_map(&x);
	own = tap("a1");
	other = tap("a0");
	xsk_queue(&x, 100);
	settle();
	EXPECT(word_get(x.tx, x.at.tx.consumer) == 0);
	for (unsigned taken = 32; taken < 100; taken += 32) {
		EXPECT(word_get(x.tx, x.at.tx.flags) == XDP_RING_NEED_WAKEUP);
		EXPECT(sendto(x.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) == -1 && errno == EAGAIN);
		EXPECT(word_get(x.tx, x.at.tx.consumer) == taken);
	}
	EXPECT(sendto(x.fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0);
	EXPECT(word_get(x.tx, x.at.tx.consumer) == 100);
	EXPECT(word_get(x.tx, x.at.tx.flags) == XDP_RING_NEED_WAKEUP);
	EXPECT(sendto(x.fd, NULL, 0, 0, NULL, 0) == -1 && errno == EOPNOTSUPP);
	EXPECT(tap_count(other) == 100);
	EXPECT(tap_count(own) == 0);
	EXPECT(word_get(x.comp, x.at.cr.producer) == 100);
	return 0;
}
