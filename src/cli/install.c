// SPDX-License-Identifier: BSD-2-Clause
#include "cli/install.h"

#include "channel/sys.h"
#include "vj_paths.h"

#include <string.h>

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
	const char *name = parts[part].name, *dir = parts[part].dir;
	long n = sys_readlink("/proc/self/exe", ret_path, PATH_MAX - 1);
	size_t bytes = strlen(name) + 1;
	char *slash;

	if (n > 0) {
		ret_path[n] = '\0';
		slash = strrchr(ret_path, '/');
		if (slash != NULL && slash + 1 + bytes <= ret_path + PATH_MAX) {
			memcpy(slash + 1, name, bytes);
			if (sys_access(ret_path, R_OK) == 0)
				return 0;
		}
	}
	n = (long)strlen(dir);
	memcpy(ret_path, dir, (size_t)n);
	ret_path[n] = '/';
	memcpy(ret_path + n + 1, name, bytes);
	return sys_access(ret_path, R_OK) == 0 ? 0 : -ENOENT;
}
