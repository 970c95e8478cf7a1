// SPDX-License-Identifier: BSD-2-Clause
/*
 * What is redirected into a veth device arrives at its other end only where that has NAPI: with an XDP program there, or
 * with GRO switched on.
 */
#include "platform.h"

static unsigned arrive(int from, int to, unsigned n)
{
	tap_count(to);
	frames_send(from, n);
	return tap_count(to);
}

int main(void)
{
	int map, from, to, link;

	devices();
	map = map_new(BPF_MAP_TYPE_DEVMAP);
	EXPECT(map_set(map, if_nametoindex("b0")) == 0);
	link = attach("a1", prog_redirect(map, XDP_DROP));
	from = tap("a0");
	to = tap("b1");
	EXPECT(arrive(from, to, 50) == 0);

	SKIP_UNLESS(system("ethtool -K b1 gro on >/dev/null") == 0, "ethtool");
	EXPECT(arrive(from, to, 50) == 50);
	run("ethtool -K b1 gro off >/dev/null");
	EXPECT(arrive(from, to, 50) == 0);

	{
		/* A program with an empty map: passes everything */
		int peer = attach("b1", prog_redirect(map_new(BPF_MAP_TYPE_XSKMAP), XDP_PASS));

		EXPECT(arrive(from, to, 50) == 50);
		close(peer);
	}
	EXPECT(arrive(from, to, 50) == 0);
	close(link);
	return 0;
}
