// SPDX-License-Identifier: BSD-2-Clause
#include "cli/install.h"

#include "vj_paths.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name, *dir;
} parts[] = {
	[INSTALL_VJ] = { "vj", VJ_BINDIR },
	[INSTALL_TOOLS] = { "vj-tools", VJ_LIBEXECDIR },
	[INSTALL_VJD] = { "vjd", VJ_BINDIR },
	[INSTALL_PRELOAD] = { "libvj-preload.so", VJ_LIBDIR },
	[INSTALL_BENCH_RTE_RING] = { "libvj-bench-rte_ring.so", VJ_LIBDIR },
	[INSTALL_BENCH_LWIP] = { "libvj-bench-lwip.so", VJ_LIBDIR },
};

/*
 * /proc/self/exe, not argv[0]: that can be anything. The kernel appends " (deleted)" after a
 * rebuild; the directory holds.
 */
int install_find(enum install_part part, char ret_path[static PATH_MAX])
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		if (slash == NULL ||
		    slash - exe + 2 + (ptrdiff_t)strlen(parts[part].name) > PATH_MAX)
			return -ENAMETOOLONG;
		snprintf(ret_path, PATH_MAX, "%.*s/%s", (int)(slash - exe), exe, parts[part].name);
		if (access(ret_path, R_OK) == 0)
			return 0;
	}
	snprintf(ret_path, PATH_MAX, "%s/%s", parts[part].dir, parts[part].name);
	return access(ret_path, R_OK) == 0 ? 0 : -ENOENT;
}
