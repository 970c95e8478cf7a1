// SPDX-License-Identifier: BSD-2-Clause
/*
 * limit.h - how often something may be sent: a token bucket. Own clock: the caller's `now_us`, which does not go back
 */
#ifndef VJ_LAN_LIMIT_H
#define VJ_LAN_LIMIT_H

#include "base/time.h"
#include "base/types.h"

struct lan_limit {
	uint64_t interval_us; /* one token; 0: no limit */
	uint64_t burst_us;    /* of tokens, that may be saved up */
	uint64_t spent_us;    /* until when what was sent is paid for: the bucket is full at @now >= this */
};

/** lan_limit_init() - @per_second as a mean, 0: no limit; @burst at once, at least 1 */
static inline void lan_limit_init(struct lan_limit *l, uint32_t per_second, uint32_t burst)
{
	*l = (struct lan_limit){ .interval_us = per_second ? US_PER_SEC / per_second : 0 };
	l->burst_us = l->interval_us * (burst > 0 ? burst - 1 : 0);
}

/** lan_limit_at() - When one may be sent. Not later than @now_us: now */
static inline uint64_t lan_limit_at(const struct lan_limit *l)
{
	return time_sub_sat(l->spent_us, l->burst_us);
}

/** lan_limit_take() - Return: it may be sent, and is counted; false: not now */
static inline bool lan_limit_take(struct lan_limit *l, uint64_t now_us)
{
	if (lan_limit_at(l) > now_us)
		return false;
	l->spent_us = max_u64(l->spent_us, now_us) + l->interval_us;
	return true;
}

#endif
