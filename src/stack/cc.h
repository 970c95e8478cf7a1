// SPDX-License-Identifier: BSD-2-Clause
/*
 * Congestion control: one table of functions per algorithm, 24 bytes of state in the connection
 *
 * The algorithm owns cwnd and ssthresh and nothing else. Which segments are lost, when recovery
 * starts and ends, and what may be sent meanwhile is loss recovery's business; tcp_cc.c stands
 * between the two. An algorithm is told of
 *
 *	acked()	data acknowledged, outside recovery
 *	loss()	once per window that lost something
 *	ecn()	once per window of which the network marked something (RFC 3168)
 *	rto()	once per expiry that is not a repetition
 *	undo()	that the last loss() or rto() was a mistake: nothing had been lost
 *	idle()	that it sends again after a pause
 *
 * One that paces itself by a model of the path has main() instead of acked(): it is called for
 * every acknowledgement in every state, and then neither recovery nor anybody else touches cwnd.
 *
 * Everything is in bytes; times are what `struct cc_env` says. A third algorithm is one file and
 * one line in cc.c.
 *
 * Links that cannot lose (LINK_NO_LOSS) have no congestion: nothing here is called for their
 * connections.
 */
#ifndef VJ_STACK_CC_H
#define VJ_STACK_CC_H

#include "base/prng.h"
#include "base/types.h"

struct cc {
	uint32_t cwnd;	   /* bytes that may be in flight; at least one mss */
	uint32_t ssthresh; /* above: congestion avoidance. UINT32_MAX: nothing known yet */
};

/*
 * The algorithm's own, in the connection; zeroed before init(). What does not fit (cc_ops.bytes)
 * lies in a pool while the algorithm is in use, and words[0] is its index there.
 */
struct cc_priv {
	uint32_t words[4];
};

/* Largest cc_ops.bytes */
#define CC_STATE_MAX 256

/* What loss recovery keeps for the case that nothing was lost: all of it before loss() or rto() */
struct cc_saved {
	struct cc cc;
	struct cc_priv priv;
};

/*
 * How much of the window is used, kept beside the data in flight: whether it was full when data up
 * to `seq` had left, else how much was in flight at most
 */
struct cc_usage {
	uint32_t seq;
	uint32_t max_flight;
	bool full;
};

/* What one acknowledgement showed about the path (draft-cheng-iccrg-delivery-rate-estimation) */
struct cc_rate {
	uint64_t delivered; /* bytes over the connection's life, after this acknowledgement */
	uint64_t prior_delivered; /* ... when the segment that this sample is about was sent */
	uint32_t delivered_bytes; /* delivered - prior_delivered; 0: no sample */
	uint32_t interval_us;	  /* the longer of the send and the ack interval; 0: no sample */
	uint32_t rtt_us;	  /* 0: none */
	uint32_t min_rtt_us;	  /* least so far; who wants a window over it keeps one. 0: none */
	uint32_t acked_sacked;	  /* bytes acknowledged or SACKed for the first time */
	uint32_t lost;		  /* bytes marked lost by it */
	uint32_t prior_in_flight; /* bytes in flight before it */
	uint32_t in_flight;	  /* ... and after it */
	bool app_limited;	  /* there was nothing to send when that segment left */
};

/* What the algorithms are told about the connection; valid during the call. */
struct cc_env {
	uint64_t now_us;
	uint32_t now_ms;
	uint32_t mss; /* bytes of payload that a full segment carries; 1.. */
	uint32_t srtt_us;
	uint32_t flight; /* bytes sent and not acknowledged, before the event */
	/* acked() and main() only: */
	bool limited;	     /* the window has been full, so it was what limited the sender; if not, */
	uint32_t max_flight; /* ... the most that was in flight in this window */
	uint32_t rtt_us;  /* what this acknowledgement measured; 0: nothing */
	uint32_t snd_una; /* sequence numbers, to tell round trips from each other */
	uint32_t snd_nxt;
	const struct cc_rate *rate; /* main(): always there; acked(): may be NULL */
	struct prng *prng;
	bool in_recovery; /* main(): the loss that loss() or rto() told of is being repaired */
};

struct cc_ops {
	const char *name; /* as in Linux's net.ipv4.tcp_congestion_control */
	uint32_t bytes;	  /* of @priv, if it is more than a struct cc_priv; else 0 */
	void (*init)(struct cc *cc, void *priv, const struct cc_env *env);
	/* @acked bytes are newly acknowledged, outside recovery. */
	void (*acked)(struct cc *cc, void *priv, const struct cc_env *env, uint32_t acked);
	/* Loss noticed by duplicate acknowledgements: set ssthresh and cwnd for what follows
	 * recovery. */
	void (*loss)(struct cc *cc, void *priv, const struct cc_env *env);
	/* A mark instead of a loss. NULL: as loss() (RFC 3168 6.1.2). */
	void (*ecn)(struct cc *cc, void *priv, const struct cc_env *env);
	/* Retransmission timeout: set ssthresh; cwnd becomes one segment (RFC 5681 3.1). */
	void (*rto)(struct cc *cc, void *priv, const struct cc_env *env);
	/* There was no loss; @saved is what was before. NULL: that again, if it was more. */
	void (*undo)(struct cc *cc, void *priv, const struct cc_env *env,
		     const struct cc_saved *saved);
	/* Sending again after @idle_ms with nothing in flight, however short; cwnd has been reduced
	 * already if it was long. NULL: nothing */
	void (*idle)(struct cc *cc, void *priv, const struct cc_env *env, uint32_t idle_ms);
	/* An acknowledgement, in whatever state. NULL: acked() is called. */
	void (*main)(struct cc *cc, void *priv, const struct cc_env *env);
	/* Bytes per second to send at. NULL: no opinion; only the window limits */
	uint64_t (*pacing)(const void *priv);
};

#define CC_DEFAULT 0 /* index of CUBIC, as in Linux */

/* NULL: past the last. */
const struct cc_ops *cc_find(unsigned int idx);

extern const struct cc_ops cc_bbr;
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
 * If the program limits what is sent and not the window, that must not grow: it would no longer say
 * anything about the path (RFC 9293 3.8.2, RFC 7661). Slow start may run to twice of what was used,
 * as in Linux.
 */
static inline bool cc_may_grow(const struct cc *cc, const struct cc_env *env)
{
	return env->limited ||
	       (cc->cwnd < cc->ssthresh && cc->cwnd < 2 * (uint64_t)env->max_flight);
}

#endif
