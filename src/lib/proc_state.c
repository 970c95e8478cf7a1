// SPDX-License-Identifier: BSD-2-Clause
#include "lib/proc_state.h"

#include "base/proc_stat.h"
#include "channel/sys.h"
#include "lib/own_fd.h"

#include <fcntl.h>
#include <string.h>

/* Return: bytes, or -errno */
static long proc_read(const char *path, char *buf, size_t room)
{
	int fd = OWN_FD_MAKE(sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0));
	long len = fd < 0 ? fd : sys_read(fd, buf, room);

	own_fd_close(fd);
	return len;
}

char proc_state(int32_t pid)
{
	char path[PROC_PATH_BYTES], stat[256];
	long len = proc_read(pid == 0 ? "/proc/self/stat" : proc_path((uint32_t)pid, "stat", path), stat, sizeof(stat));

	return len > 0 ? proc_stat_state(stat, (size_t)len) : '\0';
}

/* The number behind @name at the beginning of a line; 0: there is none */
static uint64_t status_number(const char *status, const char *name)
{
	const char *at = strstr(status, name);
	uint64_t number = 0;

	for (at = at ? at + strlen(name) : ""; *at >= '0' && *at <= '9'; at++)
		number = number * 10 + (uint64_t)(*at - '0');
	return number;
}

bool proc_is_stopped(int32_t pid, uint64_t *ret_runs)
{
	char path[PROC_PATH_BYTES], status[4096];
	long len = proc_read(proc_path((uint32_t)pid, "status", path), status, sizeof(status) - 1);
	const char *state;

	if (len <= 0)
		return false;
	status[len] = '\0';
	state = strstr(status, "\nState:\t");
	if (!state || (state[8] != 'T' && state[8] != 't'))
		return false;
	*ret_runs = status_number(status, "\nvoluntary_ctxt_switches:\t") + status_number(status, "\nnonvoluntary_ctxt_switches:\t");
	return true;
}
