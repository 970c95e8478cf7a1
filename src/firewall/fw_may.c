// SPDX-License-Identifier: BSD-2-Clause
#include "firewall/fw_may.h"

/* Bits that all numbers of the interval have in common. */
static uint32_t common_bits(const struct fw_range *v)
{
	uint32_t differ = v->lo ^ v->hi;

	return differ == 0 ? UINT32_MAX : ~(UINT32_MAX >> __builtin_clz(differ));
}

static unsigned masked_eq(const struct fw_range *v, uint32_t mask, uint32_t value)
{
	uint32_t known = common_bits(v) & mask;

	if ((value & ~mask) != 0 || (v->lo & known) != (value & known))
		return FW_MAY_NOT;
	if (known == mask)
		return FW_MAY;
	return mask == UINT32_MAX && (value < v->lo || value > v->hi) ? FW_MAY_NOT : FW_MAY | FW_MAY_NOT;
}

static unsigned any_bit(const struct fw_range *v, uint32_t mask)
{
	uint32_t known = common_bits(v) & mask;

	if ((v->lo & known) != 0)
		return FW_MAY;
	return known == mask ? FW_MAY_NOT : FW_MAY | FW_MAY_NOT;
}

static unsigned in_range(const struct fw_range *v, uint32_t lo, uint32_t hi)
{
	unsigned r = 0;

	if (v->lo <= hi && v->hi >= lo)
		r |= FW_MAY;
	if (v->lo < lo || v->hi > hi)
		r |= FW_MAY_NOT;
	return r;
}

static unsigned not_that(unsigned r)
{
	return (r & FW_MAY ? FW_MAY_NOT : 0) | (r & FW_MAY_NOT ? FW_MAY : 0);
}

unsigned fw_may(const struct fw_range *v, const struct filter_insn *insn)
{
	switch (insn->op) {
	case FILTER_OP_EQ:
		return masked_eq(v, insn->a, insn->b);
	case FILTER_OP_NE:
		return not_that(masked_eq(v, insn->a, insn->b));
	case FILTER_OP_ANY:
		return any_bit(v, insn->a);
	case FILTER_OP_NONE_OF:
		return not_that(any_bit(v, insn->a));
	case FILTER_OP_IN:
		return in_range(v, insn->a, insn->b);
	default:
		return not_that(in_range(v, insn->a, insn->b));
	}
}
