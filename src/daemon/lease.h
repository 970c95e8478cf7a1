/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lease.h - who holds which port
 *
 * A TCP or UDP lease mirrors a kernel socket that its owner has bound, so the kernel's rules decide
 * who may have a port; here they are only followed. vjd doesn't keep that socket (the sockets layer
 * needs it alone), so an owner may have closed it without a RELEASE. That shows when somebody else
 * proves a socket that couldn't be bound beside the first: then the first is no more, and its lease
 * is revoked. Where both sockets could exist (SO_REUSEADDR), who came first keeps the port, unless
 * the newcomer listens: of two TCP sockets on one port only one can, and that is the owner.
 *
 * The order of a search is the kernel's: the exact address, then the wildcard of the family, then a
 * dual-stack [::]. Leases are seen only in the network namespace in which they were made.
 *
 * A RAW lease is a number in vjd's own name space; its address is ignored.
 */
#ifndef DAEMON_LEASE_H
#define DAEMON_LEASE_H

#include "control/msg.h"

#include <sys/queue.h>

struct app;

enum { LEASE_BUCKET_CNT = 16384 };

/* Leases on one port number and protocol, all owners together: bounds the work of a search. */
enum { LEASE_GROUP_MAX = 1024 };

/* What the kernel says about the socket that proved a lease. All zero for RAW. */
struct lease_proof {
	uint64_t cookie; /* identifies the socket: a forked child passes the same one */
	bool reuseaddr, reuseport, listening; /* @listening: TCP only */
};

/* A port as matching sees it. */
struct lease_key {
	struct endpoint local; /* RAW: address zero */
	uint8_t proto;	       /* enum ctl_proto */
	bool v6only;
	uint32_t uid;
	uint64_t netns;
};

struct lease {
	LIST_ENTRY(lease) bucket;
	TAILQ_ENTRY(lease) of_app;
	struct app *app;
	uint32_t id;
	uint32_t flags; /* CTL_LEASE_*, as claimed */
	struct lease_key key;
	struct lease_proof proof;
	uint32_t asked; /* by which rules of the firewall: */
	bool forbidden; /* to be reached directly */
};

TAILQ_HEAD(lease_list, lease);

struct lease_bucket {
	LIST_HEAD(, lease) leases;
};

struct lease_table {
	struct lease_bucket *buckets; /* LEASE_BUCKET_CNT */
	uint32_t cnt;
};

/* ---- pure */

/* How well a lease fits a destination; higher is better. */
enum lease_fit { LEASE_FIT_NONE, LEASE_FIT_DUAL_STACK, LEASE_FIT_WILDCARD, LEASE_FIT_EXACT };

enum lease_fit lease_fit(const struct lease_key *key, uint64_t netns, uint8_t proto,
			 const struct endpoint *dest);

/* May two sockets of these keys collide: is there a destination that both would get? */
bool lease_overlap(const struct lease_key *a, const struct lease_key *b);

enum lease_verdict {
	LEASE_SHARED, /* both stay */
	LEASE_TAKEN,  /* the newcomer is refused */
	LEASE_EXPIRED, /* the older one's socket must be gone, or the newer couldn't be */
};

/*
 * Two leases of different applications that overlap: who has it? @fresh comes with a proof of now,
 * @old with one of then.
 */
enum lease_verdict lease_contest(const struct lease *old, const struct lease *fresh);

/* ---- the table */

int lease_table_init(struct lease_table *t);
void lease_table_fini(struct lease_table *t);

/* Put in; @lease has its key and owner. The table doesn't own it. */
void lease_insert(struct lease_table *t, struct lease *lease);
void lease_remove(struct lease_table *t, struct lease *lease);

/**
 * lease_conflict() - Another application's lease that stands against @fresh
 * @ret_cnt: leases on this port and protocol (LEASE_GROUP_MAX is the caller's to enforce)
 * Return: the first one that isn't LEASE_SHARED, or NULL
 */
struct lease *lease_conflict(const struct lease_table *t, const struct lease *fresh,
			     uint32_t *ret_cnt);

/**
 * lease_next_sharing() - Other applications' leases at the endpoint of @fresh, which isn't in the table yet
 * @after: the last one found; NULL: start
 */
struct lease *lease_next_sharing(const struct lease_table *t, const struct lease *fresh,
				 const struct lease *after);

/**
 * lease_next_copy() - Leases of other applications that were proved by the same socket as @lease, one after the other
 * @lease: in the table; not RAW
 * @after: the last one found; NULL: start
 * All of them together are one walk. Return: NULL: none any more
 */
struct lease *lease_next_copy(const struct lease_table *t, const struct lease *lease, const struct lease *after);

/**
 * lease_find() - Whom does this destination belong to?
 * @uid:       of who asks: among equally good owners, only those of this user count
 * @flow:      which of them: the same number leads to the same one, as long as they are the same
 * @ret_cnt:   how many they are
 * Return: NULL: nobody; a lease whose key.uid may be another user's
 */
struct lease *lease_find(struct lease_table *t, uint64_t netns, uint8_t proto,
			 const struct endpoint *dest, uint32_t uid, uint32_t flow,
			 uint32_t *ret_cnt);

/** lease_next_at() - All leases of a port, whatever the address. @after: the last one found; NULL: start */
const struct lease *lease_next_at(const struct lease_table *t, uint8_t proto, uint16_t port, const struct lease *after);

/** lease_port_in_use() - Does anybody hold this port, whatever the address? */
bool lease_port_in_use(const struct lease_table *t, uint8_t proto, uint16_t port);

#endif
