/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/quota.h"

#include "base/time.h"

#include <stdlib.h>

enum { BURST_SECONDS = 2 };

struct user *user_get(struct user_list *users, uint32_t uid)
{
	struct user *u;

	LIST_FOREACH (u, users, all)
		if (u->uid == uid)
			return u;
	u = calloc(1, sizeof(*u));
	if (u == NULL)
		return NULL;
	u->uid = uid;
	LIST_INSERT_HEAD(users, u, all);
	return u;
}

void user_put(struct user *user)
{
	if (user->conn_cnt > 0 || user->job_cnt > 0)
		return;
	LIST_REMOVE(user, all);
	free(user->spoken);
	free(user);
}

bool bucket_take(struct bucket *b, uint64_t now_ns, uint32_t rate)
{
	uint64_t full_at_ns = max_u64(b->full_at_ns, now_ns) + NS_PER_SEC / rate;

	if (full_at_ns - now_ns > BURST_SECONDS * NS_PER_SEC)
		return false;
	b->full_at_ns = full_at_ns;
	return true;
}
