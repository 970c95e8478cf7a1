/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vjd's book-keeping without sockets: who gets a destination, who keeps a contested port, ephemeral
 * blocks, the rate.
 */
#include "base/assert.h"
#include "base/time.h"
#include "daemon/app.h"
#include "daemon/board.h"
#include "daemon/lease.h"
#include "daemon/port_block.h"
#include "daemon/quota.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NS = 1, UID = 1000 };

static struct endpoint ep(const char *text)
{
	struct endpoint e;
	int r = endpoint_parse(text, &e);

	VJ_ASSERT_OP(r, ==, 0);
	return e;
}

static struct lease_key key(const char *text, uint8_t proto, bool v6only)
{
	return (struct lease_key){ .local = ep(text), .proto = proto, .v6only = v6only, .uid = UID, .netns = NS };
}

static enum lease_fit fit(const char *local, bool v6only, const char *dest)
{
	struct lease_key k = key(local, CTL_PROTO_TCP, v6only);
	struct endpoint d = ep(dest);

	return lease_fit(&k, NS, CTL_PROTO_TCP, &d);
}

static void fits_as_the_kernel_does(void **state)
{
	(void)state;
	assert_int_equal(fit("127.0.0.1:80", false, "127.0.0.1:80"), LEASE_FIT_EXACT);
	assert_int_equal(fit("127.0.0.1:80", false, "127.0.0.2:80"), LEASE_FIT_NONE);
	assert_int_equal(fit("127.0.0.1:80", false, "127.0.0.1:81"), LEASE_FIT_NONE);
	assert_int_equal(fit("0.0.0.0:80", false, "127.0.0.1:80"), LEASE_FIT_WILDCARD);
	assert_int_equal(fit("0.0.0.0:80", false, "[::1]:80"), LEASE_FIT_NONE);
	assert_int_equal(fit("[::]:80", false, "[::1]:80"), LEASE_FIT_WILDCARD);
	assert_int_equal(fit("[::]:80", false, "127.0.0.1:80"), LEASE_FIT_DUAL_STACK);
	assert_int_equal(fit("[::]:80", true, "127.0.0.1:80"), LEASE_FIT_NONE);
	assert_int_equal(fit("[::]:80", true, "[::1]:80"), LEASE_FIT_WILDCARD);
	assert_int_equal(fit("[::1]:80", false, "[::1]:80"), LEASE_FIT_EXACT);
	assert_int_equal(fit("[::1]:80", false, "127.0.0.1:80"), LEASE_FIT_NONE);
}

static void fits_only_its_protocol_and_namespace(void **state)
{
	struct lease_key tcp = key("0.0.0.0:80", CTL_PROTO_TCP, false), raw = key("[::]:80", CTL_PROTO_RAW, false);
	struct endpoint d = ep("127.0.0.1:80");

	(void)state;
	assert_int_equal(lease_fit(&tcp, NS, CTL_PROTO_UDP, &d), LEASE_FIT_NONE);
	assert_int_equal(lease_fit(&tcp, NS + 1, CTL_PROTO_TCP, &d), LEASE_FIT_NONE);
	assert_int_equal(lease_fit(&tcp, NS, CTL_PROTO_RAW, &d), LEASE_FIT_NONE);
	/* RAW: the number is all */
	assert_int_equal(lease_fit(&raw, NS + 1, CTL_PROTO_RAW, &d), LEASE_FIT_EXACT);
}

static bool overlap(const char *a, bool a_v6only, const char *b, bool b_v6only)
{
	struct lease_key ka = key(a, CTL_PROTO_UDP, a_v6only), kb = key(b, CTL_PROTO_UDP, b_v6only);

	assert_int_equal(lease_overlap(&ka, &kb), lease_overlap(&kb, &ka));
	return lease_overlap(&ka, &kb);
}

static void overlaps(void **state)
{
	(void)state;
	assert_true(overlap("127.0.0.1:80", false, "127.0.0.1:80", false));
	assert_true(overlap("0.0.0.0:80", false, "127.0.0.1:80", false));
	assert_true(overlap("[::]:80", false, "127.0.0.1:80", false));
	assert_true(overlap("[::]:80", false, "0.0.0.0:80", false));
	assert_true(overlap("[::]:80", true, "[::1]:80", false));
	assert_false(overlap("[::]:80", true, "0.0.0.0:80", false));
	assert_false(overlap("[::]:80", true, "127.0.0.1:80", false));
	assert_false(overlap("0.0.0.0:80", false, "[::1]:80", false));
	assert_false(overlap("127.0.0.1:80", false, "127.0.0.2:80", false));
	assert_false(overlap("0.0.0.0:80", false, "0.0.0.0:81", false));
}

/*
 * Options as letters: r reuse-port claimed and had, p had only, a reuse-address, l listening, u
 * another user's, c the same socket
 */
static struct lease side(uint8_t proto, const char *options, uint64_t cookie)
{
	struct lease l = { .key = key("0.0.0.0:80", proto, false), .proof = { .cookie = cookie } };

	for (const char *o = options; *o != '\0'; o++) {
		l.flags |= *o == 'r' ? CTL_LEASE_REUSEPORT : 0;
		l.proof.reuseport |= *o == 'r' || *o == 'p';
		l.proof.reuseaddr |= *o == 'a';
		l.proof.listening |= *o == 'l';
		l.key.uid += *o == 'u';
		if (*o == 'c')
			l.proof.cookie = 99;
	}
	return l;
}

static void contests(void **state)
{
	static const struct {
		uint8_t proto;
		const char *old, *fresh;
		enum lease_verdict verdict;
	} rows[] = {
		{ CTL_PROTO_TCP, "r", "r", LEASE_SHARED },
		{ CTL_PROTO_TCP, "rl", "rl", LEASE_SHARED },
		{ CTL_PROTO_TCP, "r", "ru", LEASE_EXPIRED },	/* of two users the kernel lets only one bind */
		{ CTL_PROTO_TCP, "p", "r", LEASE_TAKEN },	/* possible, but the older one wants it alone */
		{ CTL_PROTO_TCP, "rl", "", LEASE_TAKEN },	/* may have cleared the option after its bind */
		{ CTL_PROTO_TCP, "", "", LEASE_EXPIRED },
		{ CTL_PROTO_TCP, "", "u", LEASE_EXPIRED },
		{ CTL_PROTO_TCP, "a", "a", LEASE_TAKEN },
		{ CTL_PROTO_TCP, "al", "a", LEASE_TAKEN },
		{ CTL_PROTO_TCP, "al", "", LEASE_TAKEN },	/* likewise */
		{ CTL_PROTO_TCP, "al", "al", LEASE_EXPIRED },	/* two never listen: the older one doesn't any more */
		{ CTL_PROTO_TCP, "a", "l", LEASE_EXPIRED },
		{ CTL_PROTO_TCP, "lc", "lc", LEASE_SHARED },	/* one socket, two processes */
		{ CTL_PROTO_TCP, "lc", "lcu", LEASE_SHARED },
		{ CTL_PROTO_UDP, "", "", LEASE_EXPIRED },
		{ CTL_PROTO_UDP, "a", "a", LEASE_TAKEN },
		{ CTL_PROTO_UDP, "a", "", LEASE_TAKEN },
		{ CTL_PROTO_UDP, "r", "r", LEASE_SHARED },
		{ CTL_PROTO_RAW, "", "", LEASE_TAKEN },
		{ CTL_PROTO_RAW, "c", "c", LEASE_TAKEN },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lease old = side(rows[i].proto, rows[i].old, 1), fresh = side(rows[i].proto, rows[i].fresh, 2);

		if (lease_contest(&old, &fresh) != rows[i].verdict)
			fail_msg("row %zu: '%s' then '%s': %d", i, rows[i].old, rows[i].fresh,
				 lease_contest(&old, &fresh));
	}
}

static void better_fit_wins_and_the_flow_chooses_among_owners(void **state)
{
	struct lease_table t;
	struct lease wild = side(CTL_PROTO_TCP, "r", 1), wild2 = side(CTL_PROTO_TCP, "r", 2);
	struct lease exact = side(CTL_PROTO_TCP, "u", 3);
	struct endpoint lo = ep("127.0.0.1:80"), lo2 = ep("127.0.0.2:80");
	unsigned turns[2] = { 0 };
	uint32_t cnt;

	(void)state;
	assert_int_equal(lease_table_init(&t), 0);
	exact.key.local = lo;
	lease_insert(&t, &wild);
	lease_insert(&t, &exact);
	lease_insert(&t, &wild2);
	/*
	 * another user's exact match isn't passed over for our wildcard: the kernel wouldn't either
	 */
	assert_ptr_equal(lease_find(&t, NS, CTL_PROTO_TCP, &lo, UID, 1, &cnt), &exact);
	for (uint32_t flow = 0; flow < 100; flow++) {
		const struct lease *l = lease_find(&t, NS, CTL_PROTO_TCP, &lo2, UID, flow, &cnt);

		assert_true(l == &wild || l == &wild2);
		assert_int_equal(cnt, 2);
		assert_ptr_equal(lease_find(&t, NS, CTL_PROTO_TCP, &lo2, UID, flow, &cnt), l);
		turns[l == &wild]++;
	}
	assert_int_equal(turns[0], 50);
	assert_int_equal(turns[1], 50);
	assert_null(lease_find(&t, NS, CTL_PROTO_UDP, &lo2, UID, 0, &cnt));
	assert_true(lease_port_in_use(&t, CTL_PROTO_TCP, 80));
	assert_false(lease_port_in_use(&t, CTL_PROTO_UDP, 80));
	lease_remove(&t, &wild);
	lease_remove(&t, &wild2);
	assert_null(lease_find(&t, NS, CTL_PROTO_TCP, &lo2, UID, 0, &cnt));
	lease_remove(&t, &exact);
	assert_int_equal(t.cnt, 0);
	lease_table_fini(&t);
}

/* From behind the one that is asked about, all round: not those of his own application, nor other sockets at that port */
static void copies_are_of_one_socket_and_others(void **state)
{
	enum { MANY = LEASE_GROUP_MAX };
	static struct lease own_sockets[MANY];
	static struct app apps[MANY + 3];
	struct lease copy[3];
	struct lease_table t;

	(void)state;
	assert_int_equal(lease_table_init(&t), 0);
	for (unsigned i = 0; i < MANY; i++) {
		own_sockets[i] = side(CTL_PROTO_TCP, "r", 100 + i);
		own_sockets[i].app = &apps[i];
		lease_insert(&t, &own_sockets[i]);
	}
	for (unsigned i = 0; i < 3; i++) {
		copy[i] = side(CTL_PROTO_TCP, "r", 7);
		copy[i].app = &apps[MANY + min_u32(i, 1)];
		lease_insert(&t, &copy[i]);
	}
	assert_null(lease_next_copy(&t, &own_sockets[0], NULL));
	assert_ptr_equal(lease_next_copy(&t, &copy[0], NULL), &copy[2]);
	assert_ptr_equal(lease_next_copy(&t, &copy[0], &copy[2]), &copy[1]);
	assert_null(lease_next_copy(&t, &copy[0], &copy[1]));
	assert_ptr_equal(lease_next_copy(&t, &copy[1], NULL), &copy[0]);
	assert_null(lease_next_copy(&t, &copy[1], &copy[0]));
	lease_table_fini(&t);
}

static void conflicts_are_found_among_others_only(void **state)
{
	struct app a, b;
	struct lease mine = side(CTL_PROTO_TCP, "", 1), fresh = side(CTL_PROTO_TCP, "", 2);
	struct lease_table t;
	uint32_t cnt;

	(void)state;
	assert_int_equal(lease_table_init(&t), 0);
	mine.app = fresh.app = &a;
	lease_insert(&t, &mine);
	assert_null(lease_conflict(&t, &fresh, &cnt));
	assert_int_equal(cnt, 1);
	fresh.app = &b;
	assert_ptr_equal(lease_conflict(&t, &fresh, &cnt), &mine);
	lease_remove(&t, &mine);
	lease_table_fini(&t);
}

/* As many asked for as it takes. Return: ports that @set got, each counted in @seen */
static unsigned take_all(struct port_map *map, const struct lease_table *t, struct port_set *set, uint16_t want,
			 uint8_t seen[static 65536])
{
	unsigned total = 0;
	uint16_t first, cnt;

	while ((cnt = port_map_take(map, t, set, CTL_PROTO_TCP, 0, want, false, &first)) != 0) {
		assert_true(cnt <= want + PORT_UNIT && cnt % PORT_UNIT == 0);
		assert_true(first >= PORT_FIRST && first + cnt <= PORT_END);
		for (unsigned p = first; p < (unsigned)first + cnt; p++)
			seen[p]++;
		total += cnt;
	}
	return total;
}

static void one_may_have_all_ports_and_others_share(void **state)
{
	static struct port_set set[5];
	static uint8_t seen[65536];
	struct port_map map;
	struct lease_table t;
	uint16_t first;

	(void)state;
	assert_int_equal(lease_table_init(&t), 0);
	port_map_init(&map);
	for (unsigned a = 0; a < ARRAY_SIZE(set); a++) {
		assert_int_equal(take_all(&map, &t, &set[a], 1000, seen), PORT_END - PORT_FIRST);
		for (unsigned p = PORT_FIRST; p < PORT_END; p++)
			assert_int_equal(seen[p], a + 1); /* to each no port twice */
		assert_int_equal(map.free_cnt[0], 0);
	}
	/* the other protocol has its own */
	assert_int_equal(port_map_take(&map, &t, &set[0], CTL_PROTO_UDP, 0, 256, false, &first), 256);
	/* what one gives back others still have */
	port_map_release(&map, &set[0]);
	assert_int_equal(map.free_cnt[0], 0);
	for (unsigned a = 0; a < ARRAY_SIZE(set); a++)
		port_map_release(&map, &set[a]);
	assert_int_equal(map.free_cnt[0], PORT_UNIT_CNT);
	assert_int_equal(map.free_cnt[1], PORT_UNIT_CNT);
	lease_table_fini(&t);
}

static void blocks_shrink_and_are_disjoint_while_there_are_any(void **state)
{
	static struct port_set greedy, late[8];
	static uint8_t seen[65536];
	uint16_t first, cnt, last = UINT16_MAX;
	struct port_map map;
	struct lease_table t;
	unsigned i = 0;

	(void)state;
	memset(seen, 0, sizeof(seen));
	assert_int_equal(lease_table_init(&t), 0);
	port_map_init(&map);
	while (map.free_cnt[0] > 8) {
		cnt = port_map_take(&map, &t, &greedy, CTL_PROTO_TCP, 0, 1024, false, &first);
		assert_true(cnt > 0 && cnt <= last);
		last = cnt;
		for (unsigned p = first; p < (unsigned)first + cnt; p++)
			assert_int_equal(seen[p]++, 0);
	}
	for (; map.free_cnt[0] > 0; i++) {
		cnt = port_map_take(&map, &t, &late[i], CTL_PROTO_TCP, 0, 1024, false, &first);
		assert_true(cnt > 0);
		for (unsigned p = first; p < (unsigned)first + cnt; p++)
			assert_int_equal(seen[p]++, 0);
	}
	assert_true(i >= 4);
	/* from now on what the fewest have, in small blocks */
	assert_int_equal(port_map_take(&map, &t, &late[i - 1], CTL_PROTO_TCP, 0, 1024, false, &first), PORT_SHARED_MAX);
	for (unsigned p = first; p < first + (unsigned)PORT_SHARED_MAX; p++)
		assert_int_equal(seen[p]++, 1);
	assert_int_equal(port_map_take(&map, &t, &late[0], CTL_PROTO_TCP, 0, 1024, false, &first), PORT_SHARED_MAX);
	for (unsigned p = first; p < first + (unsigned)PORT_SHARED_MAX; p++)
		assert_int_equal(seen[p]++, 1);
	lease_table_fini(&t);
}

static void a_block_rests_before_another_has_it(void **state)
{
	static struct port_map map;
	struct lease_table t;
	uint16_t first, last = 0;

	(void)state;
	assert_int_equal(lease_table_init(&t), 0);
	port_map_init(&map);
	/* applications that come and go, one at a time */
	for (unsigned i = 0; i < (PORT_END - PORT_FIRST) / 256; i++) {
		struct port_set set = { .cnt = { 0 } };

		assert_int_equal(port_map_take(&map, &t, &set, CTL_PROTO_TCP, 0, 256, false, &first), 256);
		assert_true(i == 0 || first == last + 256);
		last = first;
		port_map_release(&map, &set);
	}
	lease_table_fini(&t);
}

static void a_block_is_had_again_after_a_restart(void **state)
{
	static struct port_set a, b;
	struct port_map map;
	struct lease_table t;
	uint16_t first;

	(void)state;
	assert_int_equal(lease_table_init(&t), 0);
	port_map_init(&map);
	assert_int_equal(port_map_take(&map, &t, &a, CTL_PROTO_TCP, 40000 - 40000 % PORT_UNIT, 64, false, &first), 64);
	assert_int_equal(first, 40000 - 40000 % PORT_UNIT);
	/* taken meanwhile: another one */
	assert_int_equal(port_map_take(&map, &t, &b, CTL_PROTO_TCP, first, 64, false, &first), 64);
	assert_int_equal(first, PORT_FIRST);
	/* nonsense: another one */
	assert_int_equal(port_map_take(&map, &t, &b, CTL_PROTO_TCP, 80, 64, false, &first), 64);
	assert_int_equal(port_map_take(&map, &t, &b, CTL_PROTO_TCP, 65535, 1, false, &first), 32);
	lease_table_fini(&t);
}

static void leased_ports_are_left_out(void **state)
{
	static struct port_set a;
	struct lease l = side(CTL_PROTO_TCP, "", 1);
	struct port_map map;
	struct lease_table t;
	uint16_t first;

	(void)state;
	assert_int_equal(lease_table_init(&t), 0);
	port_map_init(&map);
	l.key.local.port = PORT_FIRST + 5;
	lease_insert(&t, &l);
	assert_int_equal(port_map_take(&map, &t, &a, CTL_PROTO_TCP, 0, 256, false, &first), 256);
	assert_int_equal(first, PORT_FIRST + PORT_UNIT);
	lease_remove(&t, &l);
	lease_table_fini(&t);
}

static void rate_and_burst(void **state)
{
	struct bucket b = { 0 };
	uint64_t now_ns = 5 * NS_PER_SEC;
	unsigned got = 0;

	(void)state;
	while (bucket_take(&b, now_ns, 100))
		got++;
	assert_int_equal(got, 200);
	now_ns += NS_PER_SEC;
	for (got = 0; bucket_take(&b, now_ns, 100);)
		got++;
	assert_int_equal(got, 100);
	now_ns += 1000 * NS_PER_SEC;
	for (got = 0; bucket_take(&b, now_ns, 100);)
		got++;
	assert_int_equal(got, 200);
}

/* ---- the board */

static const struct board *board_file(const char *path)
{
	static struct board now;
	char name[BOARD_PATH_BYTES];
	int fd;

	snprintf(name, sizeof(name), "%s" BOARD_SUFFIX, path);
	fd = open(name, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, &now, sizeof(now)), sizeof(now));
	close(fd);
	return &now;
}

/* As programs read it */
static uint32_t owner_on(const struct board *now, bool udp, uint16_t port)
{
	uint32_t owner;

	memcpy(&owner, (const uint8_t *)now + board_owner_at(udp, port), sizeof(owner));
	return owner;
}

/* Seconds that @key rests, as the board has it at @now_ns; 0: it doesn't */
static uint64_t rests_s(const char *path, uint64_t key, uint64_t now_ns)
{
	const struct board_brief *e = &board_file(path)->brief[board_slot(key)];

	return e->key == key && e->until_ns > now_ns ? (e->until_ns - now_ns) / NS_PER_SEC : 0;
}

static void board_at(char path[static 64])
{
	char dir[] = "/tmp/vj-test-board-XXXXXX";

	assert_non_null(mkdtemp(dir));
	snprintf(path, 64, "%s/s", dir);
}

static void board_gone(const char *path)
{
	char name[64];

	snprintf(name, sizeof(name), "%s" BOARD_SUFFIX, path);
	assert_int_equal(access(name, F_OK), -1);
	snprintf(name, sizeof(name), "%.*s", (int)(strlen(path) - 2), path);
	assert_int_equal(rmdir(name), 0); /* nothing else is left either */
}

static void the_board_has_whose_ports_are(void **state)
{
	static const uint16_t ports[] = { 1, 7, 8, 80, 65535 };
	const uint32_t me = board_owner(UID), other = board_owner(0);
	const struct board *now;
	struct notice_board *b;
	char path[64], name[80];

	(void)state;
	assert_true(me != other && other != BOARD_OWNER_NONE && me != BOARD_OWNER_SEVERAL);
	board_at(path);
	snprintf(name, sizeof(name), "%s" BOARD_SUFFIX, path);
	assert_int_equal(mknod(name, S_IFREG | 0600, 0), 0);
	b = notice_board_new(path);
	assert_non_null(b);
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		notice_board_port(b, false, ports[i], me);
	notice_board_port(b, true, 53, other);
	notice_board_port(b, false, 80, BOARD_OWNER_NONE);
	notice_board_interfaces(b, 3);
	/* of what an earlier one has left nothing is there, and of this one all at once */
	assert_int_equal(access(name, F_OK), -1);
	notice_board_put_up(b);
	now = board_file(path);
	assert_true(owner_on(now, true, 53) == other && owner_on(now, false, 80) == BOARD_OWNER_NONE && now->head.interfaces == 3);
	notice_board_port(b, false, 81, BOARD_OWNER_NONE); /* wasn't */
	notice_board_port(b, false, 6379, me);
	notice_board_port(b, false, 6379, BOARD_OWNER_SEVERAL);
	notice_board_port(b, false, 7, other);
	now = board_file(path);
	assert_memory_equal(now->head.magic, BOARD_MAGIC, sizeof(BOARD_MAGIC));
	assert_int_equal(now->head.interfaces, 3);
	for (unsigned p = 0; p < 65536; p++) {
		assert_int_equal(owner_on(now, false, (uint16_t)p), p == 6379		       ? BOARD_OWNER_SEVERAL
								    : p == 7			       ? other
								    : p == 1 || p == 8 || p == 65535 ? me
												       : BOARD_OWNER_NONE);
		assert_int_equal(owner_on(now, true, (uint16_t)p), p == 53 ? other : BOARD_OWNER_NONE);
	}
	notice_board_free(b);
	board_gone(path);
}

static void brief_programs_rest_longer_and_longer(void **state)
{
	uint64_t key_a = board_key(UID, 100, "curl"), key_b = board_key(UID, 101, "curl"), now_ns = 1000 * NS_PER_SEC;
	struct notice_board *b;
	char path[64];

	(void)state;
	assert_true(key_a != key_b && key_a != board_key(UID + 1, 100, "curl") && key_a != board_key(UID, 100, "curk"));
	board_at(path);
	b = notice_board_new(path);
	notice_board_put_up(b);
	/* three, and a pause: not many */
	for (unsigned i = 0; i < 3; i++)
		notice_board_brief(b, key_a, now_ns + i * NS_PER_MS);
	now_ns += 2 * NS_PER_SEC;
	for (unsigned i = 0; i < 3; i++)
		notice_board_brief(b, key_a, now_ns + i * NS_PER_MS);
	assert_int_equal(rests_s(path, key_a, now_ns), 0);
	notice_board_brief(b, key_a, now_ns);
	assert_int_equal(rests_s(path, key_a, now_ns), 1);
	assert_int_equal(rests_s(path, key_b, now_ns), 0);
	/* one that began before it doesn't count; one after it doubles the rest, to its end */
	notice_board_brief(b, key_a, now_ns + NS_PER_MS);
	assert_int_equal(rests_s(path, key_a, now_ns), 1);
	for (unsigned s = 1; s <= 64; s *= 2) {
		now_ns += min_u32(s, BOARD_REST_MAX_S) * NS_PER_SEC + NS_PER_MS;
		assert_int_equal(rests_s(path, key_a, now_ns), 0);
		notice_board_brief(b, key_a, now_ns);
		assert_int_equal(rests_s(path, key_a, now_ns), min_u32(2 * s, BOARD_REST_MAX_S));
	}
	/* nothing was heard for long: as at first */
	now_ns += (BOARD_REST_MAX_S + 2) * NS_PER_SEC;
	notice_board_brief(b, key_a, now_ns);
	assert_int_equal(rests_s(path, key_a, now_ns), 0);
	notice_board_free(b);
	board_gone(path);
}

static void a_board_that_cannot_be_made_is_done_without(void **state)
{
	struct notice_board *b = notice_board_new("/no/such/directory/vjd.sock");

	(void)state;
	notice_board_put_up(b);
	notice_board_port(b, false, 80, board_owner(UID));
	notice_board_free(b);
	notice_board_put_up(NULL);
	notice_board_port(NULL, false, 80, board_owner(UID));
	notice_board_interfaces(NULL, 1);
	notice_board_brief(NULL, 1, 1);
	notice_board_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fits_as_the_kernel_does),
		cmocka_unit_test(fits_only_its_protocol_and_namespace),
		cmocka_unit_test(overlaps),
		cmocka_unit_test(contests),
		cmocka_unit_test(better_fit_wins_and_the_flow_chooses_among_owners),
		cmocka_unit_test(copies_are_of_one_socket_and_others),
		cmocka_unit_test(conflicts_are_found_among_others_only),
		cmocka_unit_test(one_may_have_all_ports_and_others_share),
		cmocka_unit_test(blocks_shrink_and_are_disjoint_while_there_are_any),
		cmocka_unit_test(a_block_rests_before_another_has_it),
		cmocka_unit_test(a_block_is_had_again_after_a_restart),
		cmocka_unit_test(leased_ports_are_left_out),
		cmocka_unit_test(rate_and_burst),
		cmocka_unit_test(the_board_has_whose_ports_are),
		cmocka_unit_test(brief_programs_rest_longer_and_longer),
		cmocka_unit_test(a_board_that_cannot_be_made_is_done_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
