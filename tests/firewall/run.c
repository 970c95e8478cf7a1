// SPDX-License-Identifier: BSD-2-Clause
#include "tests/firewall/run.h"

#include "base/assert.h"
#include "policy/filter_packet.h"
#include "policy/filter_track.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRACKS = 1024 };

struct run *run_new(const struct fw_program *prog)
{
	struct run *r = calloc(1, sizeof(*r));

	VJ_ASSERT(r != NULL);
	r->image = fw_program_image(prog);
	r->flags = prog->cells[0].head.flags;
	r->tracks = (struct policy_table){ .key_bytes = sizeof(struct policy_flow), .value_bytes = sizeof(struct filter_track),
					   .max = TRACKS };
	r->tracks.mem = calloc(TRACKS, r->tracks.key_bytes + r->tracks.value_bytes);
	VJ_ASSERT(r->tracks.mem != NULL);
	return r;
}

void run_free(struct run *r)
{
	free(r->tracks.mem);
	free(r);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct filter_iface iface(void)
{
	struct filter_iface i = { .idx = 2 };
	uint8_t name[16] = GEN_IFNAME;

	for (unsigned k = 0; k < 4; k++)
		i.name[k] = load_be32(name + 4 * k);
	return i;
}

enum filter_verdict run_packet(struct run *r, const struct gen_packet *p)
{
	uint8_t buf[GEN_PACKET_MAX + ETH_HDR_BYTES] = { 0 };
	const struct policy_frame frame = { .data = buf, .end = buf + ETH_HDR_BYTES + p->len };
	const struct filter_iface wire = iface();
	struct filter_track *known = NULL;
	struct filter_tracked tracked;
	struct policy_view view;
	enum filter_verdict v;
	enum filter_dir dir = p->outbound ? FILTER_OUTBOUND : FILTER_INBOUND;

	store_be16(buf + 12, p->v6 ? ETH_TYPE_IP6 : ETH_TYPE_IP4);
	memcpy(buf + ETH_HDR_BYTES, p->bytes, p->len);
	VJ_ASSERT(filter_fill(&r->run, &frame, &view));
	filter_fill_ifaces(&r->run, p->outbound ? NULL : &wire, p->outbound ? &wire : NULL);
	r->run.word[FILTER_DADDR_TYPE] = p->outbound ? FILTER_RTN_UNICAST : FILTER_RTN_LOCAL;
	r->run.now_ns = now_ns();
	if (r->flags & FILTER_TRACKS)
		known = filter_track_look(&r->run, &r->tracks, &view, dir, false, r->run.now_ns, &tracked);
	v = filter_eval(&r->image, &r->run, dir);
	if (r->flags & FILTER_TRACKS)
		filter_track_keep(&r->run, &r->tracks, known, &tracked);
	return v;
}
