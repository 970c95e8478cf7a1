// SPDX-License-Identifier: BSD-2-Clause
#include "lib/proc_state.h"

#include "channel/sys.h"
#include "lib/own_fd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

char proc_state(int32_t pid)
{
	char path[32] = "/proc/self/stat", stat[256];
	const char *state;
	long len;
	int fd;

	if (pid != 0)
		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	fd = OWN_FD_MAKE(sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
	len = fd < 0 ? fd : sys_read(fd, stat, sizeof(stat));
	own_fd_close(fd);
	state = len > 0 ? memrchr(stat, ')', (size_t)len) : NULL; /* the end of the name, which may be anything */
	return state != NULL && state + 2 < stat + len ? state[2] : '\0';
}
