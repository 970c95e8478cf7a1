// SPDX-License-Identifier: BSD-2-Clause
#include "cli/redis_run.h"

#include "cli/resp.h"

#include <stdlib.h>

static bool answers(const struct program_run *run)
{
	struct resp *r = NULL;
	int rc = resp_open((uint16_t)atoi(run->port), &r);

	if (rc == 0)
		rc = resp_ping(r);
	resp_close(r);
	return rc == 0;
}

int redis_server_start(struct program_run *run)
{
	/* clang-format off */
	const char *args[] = { "redis-server", "--port", run->port, "--bind", "127.0.0.1",
			       "--save", "", "--appendonly", "no", "--daemonize", "no",
			       "--dir", run->ctx->dir, NULL };
	/* clang-format on */

	program_port(run);
	return program_server_start(run, args, answers);
}
