// SPDX-License-Identifier: BSD-2-Clause
/*
 * The table of congestion controls. Order is the number that TCP_OPT_CONGESTION takes; add at the end.
 */
#include "stack/cc.h"
#include "stack/stack.h"

static const struct cc_ops *const cc_table[] = { &cc_cubic, &cc_reno };

const struct cc_ops *cc_find(unsigned int idx) { return idx < ARRAY_SIZE(cc_table) ? cc_table[idx] : NULL; }

const char *tcp_cc_name(unsigned int idx) { return idx < ARRAY_SIZE(cc_table) ? cc_table[idx]->name : NULL; }
