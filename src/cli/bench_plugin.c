// SPDX-License-Identifier: BSD-2-Clause
#include "cli/bench_plugin.h"

#include "base/types.h"

#include <dlfcn.h>
#include <stdio.h>

enum { PARTS = INSTALL_BENCH_LWIP + 1, REASON_BYTES = 256 };

/* Asked for again and again, loaded once */
static struct {
	const void *what;
	char reason[REASON_BYTES]; /* "": not asked for yet, or found */
} known[PARTS];

const char *plugin_find(enum install_part part, const char *name, const char *needed, const void **ret_what)
{
	char path[PATH_MAX], *reason = known[part].reason;
	void *lib;

	if (known[part].what == NULL && reason[0] == '\0') {
		if (install_find(part, path) < 0) {
			snprintf(reason, REASON_BYTES, "this vj was built without it (Debian: apt install %s, and build again)",
				 needed);
			return reason;
		}
		/* its names are its own: half of them are ours, too */
		lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		if (lib != NULL)
			known[part].what = dlsym(lib, name);
		if (known[part].what == NULL)
			snprintf(reason, REASON_BYTES, "%s", dlerror());
	}
	if (known[part].what == NULL)
		return reason;
	*ret_what = known[part].what;
	return NULL;
}
