// SPDX-License-Identifier: BSD-2-Clause
/* Listings of rules: taken apart, quoted, and written again with what channels have counted */
#include "daemon/fw_show.h"
#include "firewall/fw_listing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static const char listing[] =
	"table inet f { # handle 3\n"
	"\tset s { # handle 9\n"
	"\t\ttype ipv4_addr\n"
	"\t\tcounter\n"
	"\t\telements = { 10.0.0.1 counter packets 5 bytes 6 }\n"
	"\t}\n"
	"\n"
	"\tcounter named { # handle 7\n"
	"\t\tcomment \"packets 1 bytes 1\"\n"
	"\t\tpackets 100 bytes 2000\n"
	"\t}\n"
	"\n"
	"\tchain input { # handle 1\n"
	"\t\tcomment \"x # handle 4\"\n"
	"\t\ttype filter hook input priority filter; policy drop;\n"
	"\t\ttcp dport { 1, 2,\n"
	"\t\t\t     3 } counter packets 1 bytes 40 tcp flags syn counter packets 2 bytes 80 accept # handle 4\n"
	"\t\tcounter packets 7 bytes 8 comment \"counter packets 9 bytes 9 # handle 6\" # handle 5\n"
	"\t\tlimit rate 5/second burst 7 packets log prefix \"x\" # handle 6\n"
	"\t}\n"
	"}\n"
	"table ip f { # handle 4\n"
	"\tchain input { # handle 1\n"
	"\t\tcounter packets 1 bytes 1 # handle 4\n"
	"\t}\n"
	"}\n";

static const char summed[] =
	"table inet f {\n"
	"\tset s {\n"
	"\t\ttype ipv4_addr\n"
	"\t\tcounter\n"
	"\t\telements = { 10.0.0.1 counter packets 5 bytes 6 }\n"
	"\t}\n"
	"\n"
	"\tcounter named {\n"
	"\t\tcomment \"packets 1 bytes 1\"\n"
	"\t\tpackets 104 bytes 2005\n"
	"\t}\n"
	"\n"
	"\tchain input {\n"
	"\t\tcomment \"x # handle 4\"\n"
	"\t\ttype filter hook input priority filter; policy drop;\n"
	"\t\ttcp dport { 1, 2,\n"
	"\t\t\t     3 } counter packets 1 bytes 40 tcp flags syn counter packets 32 bytes 680 accept\n"
	"\t\tcounter packets 7 bytes 8 comment \"counter packets 9 bytes 9 # handle 6\" # keeps ports off channels between programs of this host: why not\n"
	"\t\tlimit rate 5/second burst 7 packets log prefix \"x\" # only the kernel has it: why not\n"
	"\t}\n"
	"}\n"
	"table ip f {\n"
	"\tchain input { # keeps ports off channels between programs of this host: why not\n"
	"\t\tcounter packets 18446744073709551615 bytes 18446744073709551615\n"
	"\t}\n"
	"}\n";

static struct fw_tally tally(enum fw_tally_kind kind, const char *family, const char *chain, uint64_t handle, uint32_t nth,
			     uint64_t packets, uint64_t bytes)
{
	struct fw_tally t = { .place = { .table = "f", .handle = handle }, .kind = kind, .nth = nth, .packets = packets,
			      .bytes = bytes, .why = "why not" };

	strcpy(t.place.family, family);
	strcpy(t.place.chain, chain);
	return t;
}

static char *written(int fd)
{
	off_t bytes = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)bytes + 1);

	assert_non_null(text);
	assert_int_equal(pread(fd, text, (size_t)bytes, 0), bytes);
	close(fd);
	return text;
}

static void counts_are_added(void **state)
{
	/* the second counter of a rule twice: before connections are known, and after; and one whose rule is gone */
	struct fw_tally t[] = {
		tally(FW_TALLY_COUNTER, "inet", "input", 4, 1, 10, 200),
		tally(FW_TALLY_NAMED, "inet", "named", 0, 0, 4, 5),
		tally(FW_TALLY_COUNTER, "inet", "input", 4, 1, 20, 400),
		tally(FW_TALLY_GAP, "inet", "input", 6, 0, 0, 0),
		tally(FW_TALLY_NOT_DIRECT, "inet", "input", 6, 0, 0, 0),
		tally(FW_TALLY_NOT_DIRECT, "inet", "input", 5, 0, 0, 0),
		tally(FW_TALLY_NOT_DIRECT, "ip", "input", 0, 0, 0, 0),
		tally(FW_TALLY_COUNTER, "ip", "input", 4, 0, UINT64_MAX - 1, UINT64_MAX - 1),
		tally(FW_TALLY_COUNTER, "inet", "input", 99, 0, 1000, 1000),
	};
	int fd = memfd_create("test", 0);
	char *text;

	(void)state;
	assert_true(fw_show_text(fd, listing, t, ARRAY_SIZE(t), false));
	text = written(fd);
	assert_string_equal(text, summed);
	free(text);
}

static void nothing_added_is_the_same(void **state)
{
	int fd = memfd_create("test", 0);
	char *text;

	(void)state;
	assert_true(fw_show_text(fd, listing, NULL, 0, true));
	text = written(fd);
	assert_string_equal(text, listing);
	free(text);
}

static void json_is_added(void **state)
{
	static const char json[] =
		"{\"nftables\": [{\"metainfo\": {}}, {\"counter\": {\"family\": \"inet\", \"table\": \"f\", \"name\": \"named\", "
		"\"packets\": 100, \"bytes\": 2000}}, {\"chain\": {\"family\": \"inet\", \"table\": \"f\", \"name\": \"input\"}}, "
		"{\"rule\": {\"family\": \"inet\", \"table\": \"f\", \"chain\": \"input\", "
		"\"handle\": 4, \"expr\": [{\"counter\": \"named\"}, {\"counter\": {\"packets\": 1, \"bytes\": 1}}, {\"counter\": "
		"{\"packets\": 2, \"bytes\": 2}}]}}]}";
	struct fw_tally t[] = { tally(FW_TALLY_COUNTER, "inet", "input", 4, 1, 10, 200), tally(FW_TALLY_NAMED, "inet", "named", 0, 0, 4, 5),
				tally(FW_TALLY_GAP, "inet", "input", 4, 0, 0, 0), tally(FW_TALLY_NOT_DIRECT, "inet", "input", 0, 0, 0, 0) };
	int fd = memfd_create("test", 0);
	char *text;

	(void)state;
	assert_true(fw_show_json(fd, json, t, ARRAY_SIZE(t)));
	text = written(fd);
	assert_non_null(strstr(text, "\"packets\": 104"));
	assert_non_null(strstr(text, "\"bytes\": 2005"));
	assert_non_null(strstr(text, "\"packets\": 12"));
	assert_non_null(strstr(text, "\"packets\": 1,"));
	assert_non_null(strstr(text, "\"only_kernel\": \"why not\""));
	assert_non_null(strstr(text, "\"not_direct\": \"why not\""));
	free(text);
	assert_false(fw_show_json(-1, "nonsense", NULL, 0));
}

static bool quoted(const char *text, const struct fw_place *place, char *ret_rule, size_t bytes)
{
	struct fw_listing l = fw_listing_begin(text);
	struct fw_piece p;

	while (fw_listing_next(&l, &p))
		if (p.kind == FW_PIECE_RULE && fw_place_eq(&p.place, place)) {
			fw_listing_quote(&p, ret_rule, bytes);
			return true;
		}
	return false;
}

static void rules_are_quoted(void **state)
{
	struct fw_place place = { .family = "inet", .table = "f", .chain = "input", .handle = 4 };
	char rule[200];

	(void)state;
	assert_true(quoted(listing, &place, rule, sizeof(rule)));
	assert_string_equal(rule, "tcp dport { 1, 2, 3 } counter tcp flags syn counter accept");
	assert_true(quoted(listing, &place, rule, 10));
	assert_string_equal(rule, "tcp dport");
	place.handle = 5;
	assert_true(quoted(listing, &place, rule, sizeof(rule)));
	assert_string_equal(rule, "counter comment \"counter packets 9 bytes 9 # handle 6\"");
	strcpy(place.family, "ip");
	place.handle = 4;
	assert_true(quoted(listing, &place, rule, sizeof(rule)));
	assert_string_equal(rule, "counter");
	place.handle = 7;
	assert_false(quoted(listing, &place, rule, sizeof(rule)));
}

/* Cut anywhere it ends, and its pieces are all of it. */
static void half_a_listing(void **state)
{
	(void)state;
	for (size_t len = 0; len < sizeof(listing); len++) {
		char *cut = strndup(listing, len);
		struct fw_listing l = fw_listing_begin(cut);
		struct fw_piece p;
		size_t sum = 0;

		while (fw_listing_next(&l, &p)) {
			assert_ptr_equal(p.text, cut + sum);
			sum += p.len;
		}
		assert_int_equal(sum, len);
		free(cut);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(counts_are_added), cmocka_unit_test(nothing_added_is_the_same),
					    cmocka_unit_test(json_is_added), cmocka_unit_test(rules_are_quoted),
					    cmocka_unit_test(half_a_listing) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
