// SPDX-License-Identifier: BSD-2-Clause
/* What a process takes, as /proc tells. What cannot be read is 0. */
#include "cli/bench_many.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wanted {
	const char *name;
	uint64_t *to;
};

/* "Name:   123 kB" */
static bool field(const char *line, const struct wanted *w)
{
	size_t len = strlen(w->name);

	if (strncmp(line, w->name, len) != 0 || line[len] != ':')
		return false;
	*w->to = strtoull(line + len + 1, NULL, 10) * 1024;
	return true;
}

static void read_fields(const char *path, const struct wanted *wanted, size_t cnt)
{
	FILE *f = fopen(path, "re");
	char line[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		for (size_t i = 0; i < cnt && !field(line, &wanted[i]); i++)
			;
	if (f != NULL)
		fclose(f);
}

void bench_memory_read(struct bench_memory *mem)
{
	const struct wanted status[] = {
		{ "VmRSS", &mem->resident }, { "VmHWM", &mem->resident_most }, { "VmPTE", &mem->page_tables }
	};
	const struct wanted rollup[] = { { "Anonymous", &mem->anonymous }, { "AnonHugePages", &mem->anonymous_huge } };
	const struct wanted machine = { "SUnreclaim", &mem->slab };

	memset(mem, 0, sizeof(*mem));
	read_fields("/proc/self/status", status, ARRAY_SIZE(status));
	read_fields("/proc/self/smaps_rollup", rollup, ARRAY_SIZE(rollup));
	read_fields("/proc/meminfo", &machine, 1);
}

uint64_t bench_memory_available(void)
{
	uint64_t bytes = 0;
	const struct wanted wanted = { "MemAvailable", &bytes };

	read_fields("/proc/meminfo", &wanted, 1);
	return bytes;
}
