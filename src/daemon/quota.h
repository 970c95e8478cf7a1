/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quota.h - what a user and an application may use
 *
 * Limits per user where many processes could share the harm (applications, memory), per application
 * where one process does it (leases, channels, messages a second). A user's account lives while
 * anything is charged to it.
 */
#ifndef DAEMON_QUOTA_H
#define DAEMON_QUOTA_H

#include "base/addr.h"
#include "base/types.h"

#include <sys/queue.h>

/*
 * Connections beyond the applications of a user: half-open ones, and those being told QUOTA_APPS.
 */
enum { QUOTA_STRANGERS_MAX = 64 };

/* Jobs on foreign descriptors (fd_worker.h) that one user may have under way. */
enum { QUOTA_JOBS_MAX = 32 };

struct user {
	LIST_ENTRY(user) all;
	uint32_t uid;
	uint32_t conn_cnt; /* control connections; with the last, and the last job, it is freed */
	uint32_t app_cnt; /* of these, welcome */
	uint32_t job_cnt;
	uint64_t memory_bytes;
	/* What was reached directly since its channels were last ended, whoever listens there now: firewall_spoken() */
	struct user_spoken {
		struct endpoint at;
		uint8_t proto;
	} *spoken;
	uint32_t spoken_cnt;
	bool spoken_more; /* than is known */
};
LIST_HEAD(user_list, user);

/** user_get() - Account of @uid, made if need be. Return: NULL: no memory */
struct user *user_get(struct user_list *users, uint32_t uid);

/** user_put() - Free the account if nothing is charged to it any more */
void user_put(struct user *user);

/*
 * Token bucket in units of time: a message costs the time that one has at the full rate. Pure.
 */
struct bucket {
	uint64_t full_at_ns; /* when all tokens are back */
};

/**
 * bucket_take() - Take one token. @rate: a second, >= 1; twice as many may come at once. Return:
 * false: none left
 */
bool bucket_take(struct bucket *b, uint64_t now_ns, uint32_t rate);

#endif
