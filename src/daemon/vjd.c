/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/vjd.h"

#include "base/assert.h"
#include "daemon/app.h"

int vjd_init(struct vjd *d, const struct vjd_config *cfg, const struct vjd_ops *ops, uint64_t now_ns)
{
	*d = (struct vjd){ .cfg = *cfg, .ops = ops, .now_ns = now_ns, .start_ns = now_ns };
	TAILQ_INIT(&d->apps);
	TAILQ_INIT(&d->strangers);
	LIST_INIT(&d->users);
	port_map_init(&d->ports);
	return lease_table_init(&d->leases);
}

void vjd_fini(struct vjd *d)
{
	VJ_ASSERT(TAILQ_EMPTY(&d->apps) && TAILQ_EMPTY(&d->strangers));
	lease_table_fini(&d->leases);
}
