// SPDX-License-Identifier: BSD-2-Clause
#include "tests/policy/bpf_count.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	CALLS_MAX = 8, /* the kernel's MAX_CALL_FRAMES */
	STACK_BYTES = 512,
	VALUES_MAX = 64, /* look-ups of a run */
};

/* What a function of the program comes back to. */
struct call {
	size_t pc;
	uint64_t saved[4]; /* r6 to r9 */
};

struct machine {
	const struct bpf_insn *insns;
	size_t cnt, pc;
	uint64_t r[11];
	struct xdp_md ctx; /* only its address is of use: its fields are 32 bits wide, and pointers are not */
	uint8_t *frame, *end;
	unsigned depth;
	struct call calls[CALLS_MAX];
	uint64_t stacks[CALLS_MAX][STACK_BYTES / 8];
	void *values[VALUES_MAX];
	unsigned value_cnt;
	struct bpf_count count;
	int err;
};

static uint64_t address(const void *p)
{
	return (uint64_t)(uintptr_t)p;
}

static void *pointer(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

/* ---- helpers ------------------------------------------------------------------------------------------------------- */

/* Every value that was found stays until the run is over: the program has a pointer to it. Return: 0 or an address */
static uint64_t look_up(struct machine *m, int fd, const void *key)
{
	struct bpf_map_info info = { 0 };
	uint32_t info_bytes = sizeof(info);
	size_t bytes;
	void *value;

	if (bpf_obj_get_info_by_fd(fd, &info, &info_bytes) || m->value_cnt == VALUES_MAX) {
		m->err = -ENOSYS;
		return 0;
	}
	bytes = (info.value_size + 7u) / 8 * 8;
	if (info.type == BPF_MAP_TYPE_PERCPU_ARRAY)
		memcpy(&m->count.percpu_key, key, sizeof(m->count.percpu_key));
	if (info.type == BPF_MAP_TYPE_PERCPU_ARRAY || info.type == BPF_MAP_TYPE_PERCPU_HASH)
		bytes *= (size_t)libbpf_num_possible_cpus();
	value = calloc(1, bytes);
	if (!value) {
		m->err = -ENOMEM;
		return 0;
	}
	m->values[m->value_cnt++] = value;
	return bpf_map_lookup_elem(fd, key, value) ? 0 : address(value);
}

/* The kernel is taken to have no connection of the addresses and ports that are asked for. */
static uint64_t call_helper(struct machine *m, int32_t id)
{
	uint32_t key = (uint32_t)m->r[2];

	m->count.helpers++;
	switch (id) {
	case BPF_FUNC_map_lookup_elem:
		m->count.lookups++;
		return look_up(m, (int)m->r[1], pointer(m->r[2]));
	case BPF_FUNC_redirect_map:
		if (!look_up(m, (int)m->r[1], &key))
			return m->r[3];
		m->count.redirect_key = key;
		return XDP_REDIRECT;
	case BPF_FUNC_map_update_elem:
	case BPF_FUNC_map_delete_elem:
	case BPF_FUNC_skc_lookup_tcp:
		return 0;
	default:
		m->err = -ENOSYS;
		return 0;
	}
}

/* ---- instructions -------------------------------------------------------------------------------------------------- */

static uint64_t shift_right_signed(uint64_t a, unsigned by, bool wide)
{
	return wide ? (uint64_t)((int64_t)a >> by) : (uint64_t)((int32_t)(uint32_t)a >> by);
}

static uint64_t swap(uint64_t v, int32_t bits, bool to_big)
{
	uint64_t mask = bits == 64 ? UINT64_MAX : (UINT64_C(1) << bits) - 1;
	bool swaps = to_big == (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);

	return swaps ? __builtin_bswap64(v) >> (64 - bits) : v & mask;
}

static uint64_t calculate(struct machine *m, uint8_t op, bool wide, uint64_t a, uint64_t b)
{
	unsigned by = (unsigned)(b & (wide ? 63 : 31));

	if (!wide) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_DIV:
		return b ? a / b : 0;
	case BPF_MOD:
		return b ? a % b : a;
	case BPF_OR:
		return a | b;
	case BPF_AND:
		return a & b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return a << by;
	case BPF_RSH:
		return a >> by;
	case BPF_ARSH:
		return shift_right_signed(a, by, wide);
	case BPF_NEG:
		return -a;
	case BPF_MOV:
		return b;
	default:
		m->err = -ENOSYS;
		return 0;
	}
}

static void alu(struct machine *m, const struct bpf_insn *in, bool wide)
{
	uint64_t b = BPF_SRC(in->code) == BPF_X ? m->r[in->src_reg] : (uint64_t)(int64_t)in->imm;
	uint64_t *dst = &m->r[in->dst_reg];

	if (BPF_OP(in->code) == BPF_END && !wide) {
		*dst = swap(*dst, in->imm, BPF_SRC(in->code) == BPF_TO_BE);
		return;
	}
	if (in->off != 0) { /* of later instruction sets: division with sign, moves that extend it */
		m->err = -ENOSYS;
		return;
	}
	*dst = calculate(m, BPF_OP(in->code), wide, *dst, b);
	if (!wide)
		*dst = (uint32_t)*dst;
}

static bool jumps(struct machine *m, uint8_t op, bool wide, uint64_t a, uint64_t b)
{
	int64_t sa = wide ? (int64_t)a : (int32_t)(uint32_t)a, sb = wide ? (int64_t)b : (int32_t)(uint32_t)b;

	if (!wide) {
		a = (uint32_t)a;
		b = (uint32_t)b;
	}
	switch (op) {
	case BPF_JA:
		m->err = wide ? 0 : -ENOSYS; /* a long jump, of a later instruction set */
		return true;
	case BPF_JEQ:
		return a == b;
	case BPF_JNE:
		return a != b;
	case BPF_JSET:
		return a & b;
	case BPF_JGT:
		return a > b;
	case BPF_JGE:
		return a >= b;
	case BPF_JLT:
		return a < b;
	case BPF_JLE:
		return a <= b;
	case BPF_JSGT:
		return sa > sb;
	case BPF_JSGE:
		return sa >= sb;
	case BPF_JSLT:
		return sa < sb;
	case BPF_JSLE:
		return sa <= sb;
	default:
		m->err = -ENOSYS;
		return false;
	}
}

static void enter(struct machine *m, int32_t by)
{
	struct call *c = &m->calls[m->depth];

	if (m->depth + 1 == CALLS_MAX) {
		m->err = -EFAULT;
		return;
	}
	c->pc = m->pc;
	memcpy(c->saved, &m->r[6], sizeof(c->saved));
	m->r[10] = address(m->stacks[++m->depth] + STACK_BYTES / 8);
	m->pc += (size_t)(ptrdiff_t)by;
}

/* Return: the program goes on */
static bool leave(struct machine *m)
{
	struct call *c;

	if (m->depth == 0)
		return false;
	c = &m->calls[--m->depth];
	m->pc = c->pc;
	memcpy(&m->r[6], c->saved, sizeof(c->saved));
	m->r[10] = address(m->stacks[m->depth] + STACK_BYTES / 8);
	return true;
}

static bool jump(struct machine *m, const struct bpf_insn *in, bool wide)
{
	uint64_t b = BPF_SRC(in->code) == BPF_X ? m->r[in->src_reg] : (uint64_t)(int64_t)in->imm;

	if (BPF_OP(in->code) == BPF_EXIT)
		return leave(m);
	if (BPF_OP(in->code) != BPF_CALL) {
		if (jumps(m, BPF_OP(in->code), wide, m->r[in->dst_reg], b))
			m->pc += (size_t)(ptrdiff_t)in->off;
	} else if (in->src_reg == BPF_PSEUDO_CALL) {
		enter(m, in->imm);
	} else if (in->src_reg == 0) {
		m->r[0] = call_helper(m, in->imm);
	} else {
		m->err = -ENOSYS;
	}
	return true;
}

static size_t width(uint8_t code)
{
	switch (BPF_SIZE(code)) {
	case BPF_B:
		return 1;
	case BPF_H:
		return 2;
	case BPF_W:
		return 4;
	default:
		return 8;
	}
}

static uint64_t load_ctx(struct machine *m, uint64_t off)
{
	if (off == offsetof(struct xdp_md, data))
		return address(m->frame);
	if (off == offsetof(struct xdp_md, data_end))
		return address(m->end);
	m->err = -ENOSYS;
	return 0;
}

static uint64_t load(struct machine *m, uint64_t from, size_t bytes)
{
	uint8_t u8;
	uint16_t u16;
	uint32_t u32;
	uint64_t u64;

	if (from - address(&m->ctx) < sizeof(m->ctx))
		return load_ctx(m, from - address(&m->ctx));
	switch (bytes) {
	case 1:
		memcpy(&u8, pointer(from), 1);
		return u8;
	case 2:
		memcpy(&u16, pointer(from), 2);
		return u16;
	case 4:
		memcpy(&u32, pointer(from), 4);
		return u32;
	default:
		memcpy(&u64, pointer(from), 8);
		return u64;
	}
}

static void store(uint64_t to, uint64_t v, size_t bytes)
{
	uint8_t u8 = (uint8_t)v;
	uint16_t u16 = (uint16_t)v;
	uint32_t u32 = (uint32_t)v;

	switch (bytes) {
	case 1:
		memcpy(pointer(to), &u8, 1);
		break;
	case 2:
		memcpy(pointer(to), &u16, 2);
		break;
	case 4:
		memcpy(pointer(to), &u32, 4);
		break;
	default:
		memcpy(pointer(to), &v, 8);
		break;
	}
}

/* A number of 64 bits, in two places. Of a map it is the descriptor, which is what the helpers here take for its address. */
static void load_wide(struct machine *m, const struct bpf_insn *in)
{
	if (in->code != (BPF_LD | BPF_IMM | BPF_DW) || (in->src_reg != 0 && in->src_reg != BPF_PSEUDO_MAP_FD) ||
	    m->pc == m->cnt) {
		m->err = -ENOSYS;
		return;
	}
	m->r[in->dst_reg] = (uint32_t)in->imm | (uint64_t)(uint32_t)m->insns[m->pc++].imm << 32;
}

/* Return: the program goes on */
static bool step(struct machine *m)
{
	const struct bpf_insn *in = &m->insns[m->pc++];
	uint64_t to = m->r[in->dst_reg] + (uint64_t)(int64_t)in->off;

	m->count.insns++;
	switch (BPF_CLASS(in->code)) {
	case BPF_ALU64:
	case BPF_ALU:
		alu(m, in, BPF_CLASS(in->code) == BPF_ALU64);
		return true;
	case BPF_JMP:
	case BPF_JMP32:
		return jump(m, in, BPF_CLASS(in->code) == BPF_JMP);
	case BPF_LD:
		load_wide(m, in);
		return true;
	default:
		break;
	}
	if (BPF_MODE(in->code) != BPF_MEM)
		m->err = -ENOSYS;
	else if (BPF_CLASS(in->code) == BPF_LDX)
		m->r[in->dst_reg] = load(m, m->r[in->src_reg] + (uint64_t)(int64_t)in->off, width(in->code));
	else
		store(to, BPF_CLASS(in->code) == BPF_STX ? m->r[in->src_reg] : (uint64_t)(int64_t)in->imm, width(in->code));
	return true;
}

int bpf_count_run(const struct bpf_insn *insns, size_t cnt, uint8_t *frame, uint8_t *end, struct bpf_count *ret_count)
{
	struct machine m = { .insns = insns, .cnt = cnt, .frame = frame, .end = end };
	bool goes_on = true;

	m.r[1] = address(&m.ctx);
	m.r[10] = address(m.stacks[0] + STACK_BYTES / 8);
	while (goes_on && !m.err) {
		if (m.pc >= m.cnt)
			m.err = -EFAULT;
		else
			goes_on = step(&m);
	}
	while (m.value_cnt)
		free(m.values[--m.value_cnt]);
	m.count.verdict = (uint32_t)m.r[0];
	if (!m.err)
		*ret_count = m.count;
	return m.err;
}
