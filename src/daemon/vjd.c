/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/vjd.h"

#include "base/assert.h"
#include "daemon/app.h"

/*
 * Applications outlive vjd and come back with ids that an earlier one gave them: those of two runs
 * should differ. Still short enough for people to read.
 */
static uint32_t first_id(const struct vjd_ops *ops)
{
	uint16_t run;

	ops->random(&run, sizeof(run));
	return (1u + run % 4000u) * 1000000u;
}

int vjd_init(struct vjd *d, const struct vjd_config *cfg, const struct vjd_ops *ops,
	     uint64_t now_ns)
{
	*d = (struct vjd){ .cfg = *cfg, .ops = ops, .now_ns = now_ns, .start_ns = now_ns };
	d->last_lease_id = first_id(ops);
	d->last_channel_id = first_id(ops);
	ops->random(&d->run, sizeof(d->run));
	half_table_init(&d->halves, d->run);
	TAILQ_INIT(&d->apps);
	TAILQ_INIT(&d->strangers);
	LIST_INIT(&d->users);
	port_map_init(&d->ports);
	return lease_table_init(&d->leases);
}

uint64_t vjd_memory_max(const struct vjd *d, uint32_t uid)
{
	const struct policy_rule *rule = policy_of(d->policy, uid);

	return rule != NULL && rule->memory_max != 0 ? rule->memory_max : d->cfg.limits.memory_max;
}

void vjd_fini(struct vjd *d)
{
	VJ_ASSERT(TAILQ_EMPTY(&d->apps) && TAILQ_EMPTY(&d->strangers));
	lease_table_fini(&d->leases);
}
