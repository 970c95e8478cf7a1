// SPDX-License-Identifier: BSD-2-Clause
/*
 * AF_XDP does not spill. A frame for a ring that is full, or without a free frame, is dropped, whatever the program
 * gave as its second choice; that is taken only where the map has no entry. So deliver has to count (credits).
 */
#include "platform.h"

int main(void)
{
	int map, link, from, kernel;
	struct xdp_statistics st;
	struct xsk x;

	devices();
	map = map_new(BPF_MAP_TYPE_XSKMAP);
	link = attach("a1", prog_redirect(map, XDP_PASS));
	from = tap("a0");
	kernel = tap("a1");

	/* No entry: the second choice */
	frames_send(from, 50);
	EXPECT(tap_count(kernel) == 50);

	/* 64 entries, more free frames than that is not possible: the rest is gone */
	x = xsk_new(64);
	EXPECT(xsk_bind(&x, "a1", XDP_COPY) == 0);
	xsk_map(&x);
	xsk_fill(&x, 64);
	EXPECT(map_set(map, (uint32_t)x.fd) == 0);
	frames_send(from, 200);
	st = xsk_stats(&x);
	EXPECT(word_get(x.rx, x.at.rx.producer) == 64);
	EXPECT(st.rx_fill_ring_empty_descs + st.rx_ring_full + st.rx_dropped >= 136);
	EXPECT(tap_count(kernel) == 0);

	/* The entry goes with the socket, which a mapping of its rings keeps alive */
	close(x.fd);
	settle();
	frames_send(from, 50);
	EXPECT(tap_count(kernel) == 0);
	xsk_unmap(&x);
	settle();
	frames_send(from, 50);
	EXPECT(tap_count(kernel) == 50);
	close(link);
	return 0;
}
