// SPDX-License-Identifier: BSD-2-Clause
#include "cli/redis_run.h"

#include "cli/resp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	const char *args[] = { "redis-server", "--port", run->port, "--bind",
			       run->net > 0 ? "0.0.0.0" : "127.0.0.1", "--protected-mode", "no", "--save", "", "--appendonly", "no", "--daemonize", "no",
			       "--dir", run->ctx->dir, NULL };
	/* clang-format on */

	program_port(run);
	return program_server_start(run, args, answers);
}

/* `"SET","74074.07","0.353",...`: the second field */
static double csv_rate(const char *said, const char *name)
{
	char start[16];
	const char *p;

	snprintf(start, sizeof(start), "\"%s\",\"", name);
	p = strstr(said, start);
	return p != NULL ? strtod(p + strlen(start), NULL) : 0;
}

int redis_hammer(const struct program_run *run, double share, struct bench_sample *ret_sample)
{
	const struct bench_options *o = run->ctx->o;
	char clients[24], requests[24], keys[24];
	/* clang-format off */
	const char *args[] = { "redis-benchmark", "-h", program_host(run), "-p", run->port, "-c", clients,
			       "-n", requests, "-r", keys, "-t", "set,get", "--csv", NULL };
	/* clang-format on */
	long long n = (long long)((double)o->requests * share) + 1;
	double set, get;
	char *said;
	int rc;

	snprintf(clients, sizeof(clients), "%lld", (long long)o->clients);
	snprintf(requests, sizeof(requests), "%lld", n);
	snprintf(keys, sizeof(keys), "%lld", (long long)o->keys);
	rc = program_tool(run, args, STDIN_FILENO, true, &said);
	if (rc < 0)
		return rc;
	set = csv_rate(said, "SET");
	get = csv_rate(said, "GET");
	if (set <= 0 || get <= 0) {
		program_complain("redis-benchmark", said);
		rc = -EPROTO;
	} else {
		ret_sample->parts[0] = set;
		ret_sample->parts[1] = get;
		ret_sample->ops = 2 * (uint64_t)n;
		ret_sample->seconds = (double)n / set + (double)n / get;
	}
	free(said);
	return rc;
}
