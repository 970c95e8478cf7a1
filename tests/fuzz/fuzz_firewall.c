// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rulesets as JSON, and behind a NUL as netlink messages: whatever they say, the compiler refuses it or makes a program that ends, stays inside of itself, and does what
 * fw_ask() says it may; and what is handed to vjd is read back, also if it isn't whole.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/prng.h"
#include "firewall/firewall.h"
#include "firewall/fw_pack.h"
#include "firewall/fw_raw.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of random words: any packet, and more. */
static void try_packet(const struct fw_program *prog, struct prng *rng)
{
	const struct filter_image img = fw_program_image(prog);
	static const uint32_t few[] = { 0, 1, 2, 6, 10, 17, 22, 80, 443, 0x0a000001, UINT32_MAX };
	static const uint32_t states[] = { FILTER_CT_INVALID, FILTER_CT_ESTABLISHED, FILTER_CT_RELATED, FILTER_CT_NEW };
	enum filter_dir dir = (enum filter_dir)prng_below(rng, FILTER_DIR_CNT);
	struct fw_question q = fw_question_any(dir);
	struct filter_run run = { .bytes = 60 };
	enum filter_verdict v;
	struct fw_answer a;
	int r;

	for (unsigned i = 0; i < FILTER_WORD_CNT; i++) {
		run.word[i] = few[prng_below(rng, ARRAY_SIZE(few))];
		if (prng_chance(rng, 1, 2))
			q.word[i].lo = q.word[i].hi = run.word[i];
	}
	/* as filter_packet.h makes it, though the program may compare what no packet has */
	run.word[FILTER_HAVE] |= FILTER_HAVE_L4;
	run.word[FILTER_L4PROTO] &= 0xff;
	run.word[FILTER_SPORT] &= 0xffff;
	run.word[FILTER_DPORT] &= 0xffff;
	for (unsigned i = 0; i < FILTER_WORD_CNT; i++)
		if (q.word[i].lo == q.word[i].hi)
			q.word[i].lo = q.word[i].hi = run.word[i];
	run.word[FILTER_SPORT_OF] = run.word[FILTER_L4PROTO] << 16 | run.word[FILTER_SPORT];
	run.word[FILTER_DPORT_OF] = run.word[FILTER_L4PROTO] << 16 | run.word[FILTER_DPORT];
	run.word[FILTER_CT_STATUS] = q.word[FILTER_CT_STATUS].lo = q.word[FILTER_CT_STATUS].hi = 0;
	run.word[FILTER_CT_STATE] = states[prng_below(rng, ARRAY_SIZE(states))];
	run.now_ns = prng_u64(rng) >> 8;
	v = filter_eval(&img, &run, dir);
	r = fw_ask(prog, &q, &a);
	VJ_ASSERT_OP(v, !=, FILTER_RUNNING);
	VJ_ASSERT(r == -E2BIG || a.verdicts & 1u << v);
}

/* As vjd asks about an address that is new to it */
static void try_ask(const struct fw_result *res, struct fw_port_key key)
{
	uint32_t *at = calloc(res->prog.port_cnt, sizeof(*at));

	VJ_ASSERT(at != NULL);
	key.directly ^= 1;
	fw_port_against(&res->prog, &key, at);
	free(at);
}

static void try_spoilt(const uint8_t *bytes, size_t len, struct fw_port_key key, struct prng *rng)
{
	uint8_t *spoilt = malloc(len);
	struct fw_result back;
	struct fw_place place;
	const char *why;
	char rule[64];

	VJ_ASSERT(spoilt != NULL);
	memcpy(spoilt, bytes, len);
	for (unsigned i = 0; i < 4; i++)
		spoilt[prng_chance(rng, 1, 4) ? prng_below(rng, min_u64(len, 512)) : prng_below(rng, len)] = (uint8_t)prng_u64(rng);
	if (fw_unpack(spoilt, len - prng_chance(rng, 1, 4) * prng_below(rng, len), &back) == 0 && back.why[0] == '\0') {
		try_ask(&back, key);
		for (uint32_t at = 0; at < back.prog.cell_cnt; at++)
			if (fw_program_place(&back.prog, at, &place, &why))
				fw_result_rule(&back, &place, rule, sizeof(rule));
		for (uint32_t i = 0; i < back.answer_cnt; i++)
			if (back.answers[i].first != FW_AGAINST_NONE)
				VJ_ASSERT_OP(back.answers[i].first + fw_port_class(&back.prog, 65535), <, back.at_cnt);
	}
	free(spoilt);
}

/* What the reader hands to vjd comes out as it went in; spoilt, it is refused, or whole enough for all that reads it. */
static void try_pack(struct fw_program *prog, struct prng *rng)
{
	struct fw_port_key key = { .addr = ip_addr_any_v4(), .device = "lo", .proto = 6, .directly = (uint8_t)prng_below(rng, 2) };
	struct fw_result res = { .prog = *prog, .text = "table inet t {\n\tchain c {\n\t\tdrop # handle 3\n\t}\n}\n" }, back;
	uint8_t *bytes;
	size_t len;

	res.text_bytes = (uint32_t)strlen(res.text) + 1;
	VJ_ASSERT_OP(fw_result_make(&res, &key, 1), ==, 0);
	*prog = (struct fw_program){ .cell_cnt = 0 };
	bytes = fw_pack(&res, &len);
	VJ_ASSERT(bytes != NULL && fw_unpack(bytes, len, &back) == 0);
	VJ_ASSERT(back.prog.cell_cnt == res.prog.cell_cnt && back.answer_cnt == 1 && back.line_cnt == res.line_cnt);
	VJ_ASSERT(memcmp(back.prog.cells, res.prog.cells, res.prog.cell_cnt * sizeof(*res.prog.cells)) == 0);
	for (unsigned i = 0; i < 8; i++)
		try_spoilt(bytes, len, key, rng);
	free(bytes);
	fw_result_free(&res);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char why[FW_WHY_BYTES] = "";
	struct fw_raw raw = { .cnt = 0 };
	struct fw_program prog;
	size_t json_len = 0;
	struct prng rng;
	int r;

	/* behind a NUL: what the kernel has */
	while (json_len < size && data[json_len] != '\0')
		json_len++;
	if (json_len < size && fw_raw_read(data + json_len + 1, size - json_len - 1, &raw) < 0)
		return 0;
	r = fw_compile((const char *)data, json_len, json_len < size ? &raw : NULL, &prog, why);
	fw_raw_free(&raw);
	if (r < 0) {
		VJ_ASSERT(strlen(why) < sizeof(why));
		return 0;
	}
	VJ_ASSERT_OP(prog.longest, <=, FILTER_STEPS_MAX);
	prng_seed(&rng, size);
	for (unsigned i = 0; i < 16; i++)
		try_packet(&prog, &rng);
	if (prog.cell_cnt > 0 && prog.longest < 4096)
		try_pack(&prog, &rng);
	fw_program_free(&prog);
	return 0;
}
