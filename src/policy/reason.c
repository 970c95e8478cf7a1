// SPDX-License-Identifier: BSD-2-Clause
#include "policy/reason.h"

static const struct {
	const char *word;
	enum policy_fate fate;
} reasons[POLICY_REASON_CNT] = {
#define X(name, w, f, t) { .word = w, .fate = POLICY_FATE_##f },
	POLICY_REASONS(X)
#undef X
};

const char *policy_reason_word(enum policy_reason reason)
{
	return (unsigned)reason < POLICY_REASON_CNT ? reasons[reason].word : "unknown";
}

enum policy_fate policy_reason_fate(enum policy_reason reason)
{
	return (unsigned)reason < POLICY_REASON_CNT ? reasons[reason].fate : POLICY_FATE_DROP;
}
