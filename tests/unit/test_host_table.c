// SPDX-License-Identifier: BSD-2-Clause
/* The host table: what is published is what is found, and a reader never sees two generations mixed. */
#include "control/host_table.h"

#include "base/time.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct ip_addr ip(const char *text)
{
	struct ip_addr addr;

	if (ip_addr_parse(text, &addr) != 0)
		fail_msg("%s", text);
	return addr;
}

/* Two hops to 10.0.0.0/8, at interfaces 2 and 3 */
static void add_hops(struct host_image *im)
{
	memmove(&im->routes[5], &im->routes[3], 3 * sizeof(im->routes[0]));
	im->routes[3] = (struct host_prefix){ .dest = ip("10.0.0.0"), .prefix_len = 96 + 8, .ifindex = 2, .gateway = ip("192.0.2.7"),
					      .flags = HOST_PREFIX_SEVERAL };
	im->routes[4] = (struct host_prefix){ .dest = ip("10.0.0.0"), .prefix_len = 96 + 8, .ifindex = 3,
					      .gateway = ip("198.51.100.7"), .flags = HOST_PREFIX_SEVERAL };
	im->route_cnt += 2;
}

/* 192.0.2.0/24 and 2001:db8::/64 on link at interface 2, default by .1; 198.51.100.0/24 at interface 3 with a source. */
static struct host_image *sample(void)
{
	struct host_image *im = calloc(1, sizeof(*im));

	assert_non_null(im);
	im->interface_cnt = 2;
	im->interfaces[0] = (struct host_interface){ .ifindex = 2, .mtu = 1500, .flags = HOST_IF_UP | HOST_IF_ATTACHED };
	im->interfaces[1] = (struct host_interface){ .ifindex = 3, .mtu = 9000, .flags = HOST_IF_UP };
	im->addr_cnt = 6;
	im->addrs[0] = (struct host_addr){ ip("203.0.113.9"), 2, 96 + 24, HOST_ADDR_USABLE, { 0 } };
	im->addrs[1] = (struct host_addr){ ip("192.0.2.10"), 2, 96 + 24, HOST_ADDR_USABLE, { 0 } };
	im->addrs[2] = (struct host_addr){ ip("fe80::2"), 2, 64, HOST_ADDR_USABLE, { 0 } };
	im->addrs[3] = (struct host_addr){ ip("2001:db8::10"), 2, 64, 0, { 0 } };
	im->addrs[4] = (struct host_addr){ ip("2001:db8::11"), 2, 64, HOST_ADDR_USABLE, { 0 } };
	im->addrs[5] = (struct host_addr){ ip("198.51.100.3"), 3, 96 + 24, HOST_ADDR_USABLE, { 0 } };
	im->route_cnt = 6;
	im->routes[0] = (struct host_prefix){ .dest = ip("192.0.2.66"), .prefix_len = 128, .ifindex = 0 };
	im->routes[1] = (struct host_prefix){ .dest = ip("192.0.2.0"), .prefix_len = 96 + 24, .ifindex = 2 };
	im->routes[2] = (struct host_prefix){ .dest = ip("198.51.100.0"), .prefix_len = 96 + 24, .ifindex = 3,
					      .source = ip("198.51.100.77"), .mtu = 1400 };
	im->routes[3] = (struct host_prefix){ .dest = ip("2001:db8::"), .prefix_len = 64, .ifindex = 2 };
	im->routes[4] = (struct host_prefix){ .dest = ip("0.0.0.0"), .prefix_len = 96, .ifindex = 2,
					      .gateway = ip("192.0.2.1") };
	im->routes[5] = (struct host_prefix){ .dest = ip("::"), .prefix_len = 0, .ifindex = 2, .gateway = ip("fe80::1") };
	return im;
}

static struct host_table *table_of(const struct host_image *im)
{
	struct host_table *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	host_table_init(t);
	host_table_publish(t, im);
	return t;
}

static struct host_route route(const struct host_table *t, const char *dst)
{
	struct ip_addr addr = ip(dst);
	struct host_route r;

	assert_int_equal(host_table_route(t, &addr, 0, &r), 0);
	return r;
}

static void expect_route(const struct host_table *t, const char *dst, uint32_t ifindex, uint32_t mtu, const char *hop,
			 const char *source)
{
	struct host_route r = route(t, dst);
	struct ip_addr want_hop = ip(hop), want_source = ip(source);

	assert_int_equal(r.kind, HOST_ROUTE_UNICAST);
	assert_int_equal(r.ifindex, ifindex);
	assert_int_equal(r.mtu, mtu);
	assert_true(ip_addr_eq(&r.hop, &want_hop));
	assert_true(ip_addr_eq(&r.source, &want_source));
}

static void routes_are_found(void **state)
{
	struct host_image *im = sample();
	struct host_table *t = table_of(im);

	(void)state;
	expect_route(t, "192.0.2.5", 2, 1500, "192.0.2.5", "192.0.2.10"); /* the address of the subnet, not the first */
	expect_route(t, "8.8.8.8", 2, 1500, "192.0.2.1", "192.0.2.10");
	expect_route(t, "198.51.100.5", 3, 1400, "198.51.100.5", "198.51.100.77");
	expect_route(t, "2001:db8::5", 2, 1500, "2001:db8::5", "2001:db8::11"); /* ::10 may not be used */
	expect_route(t, "2606:4700::1", 2, 1500, "fe80::1", "2001:db8::11"); /* not the link-local one */
	assert_int_equal(route(t, "192.0.2.66").kind, HOST_ROUTE_NONE);
	assert_int_equal(route(t, "224.0.0.1").kind, HOST_ROUTE_NONE);
	assert_int_equal(route(t, "255.255.255.255").kind, HOST_ROUTE_NONE);
	assert_int_equal(route(t, "192.0.2.10").kind, HOST_ROUTE_LOCAL);
	assert_int_equal(route(t, "2001:db8::10").kind, HOST_ROUTE_LOCAL); /* local even if it may not be a source */
	assert_int_equal(route(t, "127.0.0.5").kind, HOST_ROUTE_LOCAL);
	assert_int_equal(route(t, "::1").kind, HOST_ROUTE_LOCAL);
	free(t);
	free(im);
}

/* IPv4 without a default route goes nowhere, whatever IPv6 has; of what each interface has, the one that is asked for counts. */
static void families_and_interfaces_are_apart(void **state)
{
	struct host_image *im = sample();
	struct ip_addr neighbour = ip("fe80::9");
	struct host_table *t;
	struct host_route r;

	(void)state;
	im->routes[3] = (struct host_prefix){ .dest = ip("fe80::"), .prefix_len = 64, .ifindex = 2, .flags = HOST_PREFIX_SEVERAL };
	im->routes[4] = im->routes[3];
	im->routes[4].ifindex = 3;
	t = table_of(im);
	assert_int_equal(route(t, "8.8.8.8").kind, HOST_ROUTE_NONE);
	expect_route(t, "2606:4700::1", 2, 1500, "fe80::1", "2001:db8::11");
	for (uint32_t ifindex = 2; ifindex <= 3; ifindex++) {
		assert_int_equal(host_table_route(t, &neighbour, ifindex, &r), 0);
		assert_int_equal(r.ifindex, ifindex);
		assert_true(r.inexact);
	}
	free(t);
	free(im);
}

static void an_empty_table_has_nothing(void **state)
{
	struct host_table *t = calloc(1, sizeof(*t));
	struct ip_addr addr = ip("192.0.2.5");
	uint8_t mac[6] = { 1 };

	(void)state;
	assert_non_null(t);
	assert_int_equal(host_table_check(t, sizeof(*t)), -EPROTO);
	host_table_init(t);
	assert_int_equal(host_table_check(t, sizeof(*t)), 0);
	assert_int_equal(host_table_check(t, sizeof(*t) - 1), -EPROTO);
	assert_int_equal(route(t, "192.0.2.5").kind, HOST_ROUTE_NONE);
	assert_int_equal(host_table_neighbour(t, 2, &addr, mac), HOST_NEIGHBOUR_NONE);
	assert_int_equal(mac[0], 1);
	free(t);
}

static void put(struct host_image *im, uint32_t ifindex, const struct ip_addr *addr, uint8_t state)
{
	unsigned slot = host_neighbour_slot(ifindex, addr);

	while (im->neighbours[slot].state != HOST_NEIGHBOUR_NONE)
		slot = (slot + 1) % HOST_NEIGHBOUR_MAX;
	im->neighbours[slot] = (struct host_neighbour){ .addr = *addr, .ifindex = ifindex, .mac = { 2, addr->bytes[15] },
							.state = state };
}

static void neighbours_are_found(void **state)
{
	struct host_image *im = sample();
	struct host_table *t;
	struct ip_addr addr = ip("192.0.2.0");
	uint8_t mac[6];

	(void)state;
	for (unsigned i = 0; i < 256; i++) {
		addr.bytes[15] = (uint8_t)i;
		put(im, 2, &addr, i % 2 != 0 ? HOST_NEIGHBOUR_REACHABLE : HOST_NEIGHBOUR_STALE);
	}
	addr.bytes[15] = 9;
	put(im, 3, &addr, HOST_NEIGHBOUR_ASKED);
	t = table_of(im);
	for (unsigned i = 0; i < 256; i++) {
		addr.bytes[15] = (uint8_t)i;
		assert_int_equal(host_table_neighbour(t, 2, &addr, mac),
				 i % 2 != 0 ? HOST_NEIGHBOUR_REACHABLE : HOST_NEIGHBOUR_STALE);
		assert_int_equal(mac[1], i);
	}
	addr.bytes[15] = 9;
	assert_int_equal(host_table_neighbour(t, 3, &addr, mac), HOST_NEIGHBOUR_ASKED);
	assert_int_equal(host_table_neighbour(t, 4, &addr, mac), HOST_NEIGHBOUR_NONE);
	free(t);
	free(im);
}

/* ---- a writer that never rests */

struct race {
	struct host_table *t;
	_Atomic bool stop;
};

/* Generation g: the mtu, the gateway and the source all say g. */
static void *write_on(void *arg)
{
	struct race *race = arg;
	struct host_image *im = sample();

	for (uint8_t g = 0; !atomic_load(&race->stop); g++) {
		im->interfaces[0].mtu = 1000u + g;
		im->routes[4].gateway.bytes[15] = g;
		im->routes[4].source = im->routes[4].gateway;
		host_table_publish(race->t, im);
	}
	free(im);
	return NULL;
}

static void generations_do_not_mix(void **state)
{
	struct host_image *im = sample();
	struct race race = { .t = table_of(im) };
	struct ip_addr dst = ip("8.8.8.8");
	unsigned read_cnt = 0, seen = 0;
	uint32_t last = 0;
	pthread_t writer;

	(void)state;
	im->interfaces[0].mtu = 1000;
	im->routes[4].gateway = im->routes[4].source = ip("192.0.2.0");
	host_table_publish(race.t, im);
	assert_int_equal(pthread_create(&writer, NULL, write_on, &race), 0);
	while (read_cnt < 20000 || seen < 3) {
		struct host_route r;

		if (host_table_route(race.t, &dst, 0, &r) != 0)
			continue;
		read_cnt++;
		assert_int_equal(r.mtu, 1000u + r.hop.bytes[15]);
		assert_true(ip_addr_eq(&r.hop, &r.source));
		seen += r.mtu != last;
		last = r.mtu;
	}
	atomic_store(&race.stop, true);
	pthread_join(writer, NULL);
	free(race.t);
	free(im);
}

static struct host_route route_by(const struct host_table *t, const char *dst, uint32_t ifindex)
{
	struct ip_addr addr = ip(dst);
	struct host_route r;

	assert_int_equal(host_table_route(t, &addr, ifindex, &r), 0);
	return r;
}

static void ways_that_only_the_kernel_knows(void **state)
{
	static const struct { uint32_t wanted, got; const char *hop; } ways[] = {
		{ 0, 2, "192.0.2.7" }, { 2, 2, "192.0.2.7" }, { 3, 3, "198.51.100.7" }, { 9, 2, "192.0.2.7" },
	};
	struct host_image *im = sample();
	struct host_table *t;

	(void)state;
	add_hops(im);
	t = table_of(im);
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct host_route r = route_by(t, "10.1.2.3", ways[i].wanted);
		struct ip_addr hop = ip(ways[i].hop);

		assert_true(r.inexact);
		assert_int_equal(r.ifindex, ways[i].got);
		assert_true(ip_addr_eq(&r.hop, &hop));
	}
	assert_int_equal(route_by(t, "198.51.100.9", 2).ifindex, 3); /* one hop is where it is */
	assert_false(route_by(t, "198.51.100.9", 2).inexact);
	assert_false(route_by(t, "8.8.8.8", 0).inexact);
	im->flags = HOST_TABLE_RULES;
	host_table_publish(t, im);
	assert_true(route_by(t, "8.8.8.8", 0).inexact);
	im->flags = HOST_TABLE_TRUNCATED;
	host_table_publish(t, im);
	assert_true(route_by(t, "2001:db8::5", 0).inexact);
	free(t);
	free(im);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_are_found), cmocka_unit_test(families_and_interfaces_are_apart),
		cmocka_unit_test(an_empty_table_has_nothing),
		cmocka_unit_test(neighbours_are_found),
		cmocka_unit_test(ways_that_only_the_kernel_knows), cmocka_unit_test(generations_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
