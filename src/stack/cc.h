// SPDX-License-Identifier: BSD-2-Clause
/*
 * Congestion control: one table of functions per algorithm, 24 bytes of state in the connection
 *
 * The algorithm owns cwnd and ssthresh and nothing else. Which segments are lost, when recovery
 * starts and ends, and what may be sent meanwhile is loss recovery's business (tcp_rtx.c): it calls
 * acked() only outside recovery, loss() once per window that lost something, rto() once per expiry
 * that is not a repetition.
 *
 * Everything is in bytes; times are what `struct cc_env` says. A third algorithm is one file and
 * one line in cc.c.
 *
 * Links that cannot lose (LINK_NO_LOSS) have no congestion: nothing here is called for their
 * connections.
 */
#ifndef VJ_STACK_CC_H
#define VJ_STACK_CC_H

#include "base/types.h"

struct cc {
	uint32_t cwnd;	   /* bytes that may be in flight; at least one mss */
	uint32_t ssthresh; /* above: congestion avoidance. UINT32_MAX: nothing known yet */
};

/* The algorithm's own; zeroed before init(). */
struct cc_priv {
	uint32_t words[4];
};

/* What the algorithms are told about the connection; valid during the call. */
struct cc_env {
	uint32_t now_ms;
	uint32_t mss; /* bytes of payload that a full segment carries; 1.. */
	uint32_t srtt_us;
	uint32_t flight; /* bytes sent and not acknowledged, before the event */
	/* acked() only: */
	uint32_t rtt_us;  /* what this acknowledgement measured; 0: nothing */
	uint32_t snd_una; /* sequence numbers, to tell round trips from each other */
	uint32_t snd_nxt;
};

struct cc_ops {
	const char *name; /* as in Linux's net.ipv4.tcp_congestion_control */
	void (*init)(struct cc *cc, struct cc_priv *priv);
	/* @acked bytes are newly acknowledged, outside recovery. */
	void (*acked)(struct cc *cc, struct cc_priv *priv, const struct cc_env *env,
		      uint32_t acked);
	/* Loss noticed by duplicate acknowledgements: set ssthresh and cwnd for what follows
	 * recovery. */
	void (*loss)(struct cc *cc, struct cc_priv *priv, const struct cc_env *env);
	/* Retransmission timeout: set ssthresh; cwnd becomes one segment (RFC 5681 3.1). */
	void (*rto)(struct cc *cc, struct cc_priv *priv, const struct cc_env *env);
	/* Sending again after @idle_ms with nothing in flight; cwnd has been reduced already. */
	void (*idle)(struct cc *cc, struct cc_priv *priv, const struct cc_env *env,
		     uint32_t idle_ms);
};

#define CC_DEFAULT 0 /* index of CUBIC, as in Linux */

/* NULL: past the last. */
const struct cc_ops *cc_find(unsigned int idx);

extern const struct cc_ops cc_cubic;
extern const struct cc_ops cc_reno;

/* RFC 6928: ten segments, at most 14,600 bytes unless two segments are more */
static inline uint32_t cc_initial_window(uint32_t mss)
{
	return min_u32(10 * mss, max_u32(2 * mss, 14600));
}

/*
 * Slow start (RFC 5681 3.1) for @acked bytes, the first one with HyStart++ (RFC 9406), which keeps
 * its state in @priv until ssthresh is known. Returns the bytes not used because ssthresh was
 * reached. The increase is not limited to 2 segments per acknowledgement: receivers that
 * acknowledge whole batches are common, and Linux does likewise.
 */
uint32_t cc_slow_start(struct cc *cc, struct cc_priv *priv, const struct cc_env *env,
		       uint32_t acked);

/*
 * Was the window what limited the sender? If not it must not grow: it would no longer say anything
 * about the path (RFC 9293 3.8.2, RFC 7661). Slow start may run to twice of what was used, as in
 * Linux.
 */
static inline bool cc_was_limited(const struct cc *cc, const struct cc_env *env)
{
	if (cc->cwnd < cc->ssthresh)
		return cc->cwnd < 2 * (uint64_t)env->flight;
	return (uint64_t)env->flight + env->mss > cc->cwnd;
}

#endif
