/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_may.h - a test of a number of which only an interval is known */
#ifndef FIREWALL_FW_MAY_H
#define FIREWALL_FW_MAY_H

#include "firewall/firewall.h"

enum { FW_MAY = 1, FW_MAY_NOT = 2 };

/**
 * fw_may() - May one of @v's numbers pass?
 * @insn: FILTER_OP_EQ to FILTER_OP_OUT
 * Return: FW_MAY: some may; FW_MAY_NOT: some may not; or both, also where it isn't known so exactly
 */
unsigned fw_may(const struct fw_range *v, const struct filter_insn *insn);

#endif
