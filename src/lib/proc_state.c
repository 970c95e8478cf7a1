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

enum {
	WINDOW = 512, /* of a file that may have kilobytes: a thread's stack may be small */
	LINE = 64,    /* no line that is looked for is longer */
};

/* The number behind @name at the beginning of a line, if it is there */
static void status_number(const char *status, const char *name, uint64_t *ret)
{
	const char *at = strstr(status, name);

	if (!at)
		return;
	*ret = 0;
	for (at += strlen(name); *at >= '0' && *at <= '9'; at++)
		*ret = *ret * 10 + (uint64_t)(*at - '0');
}

bool proc_is_stopped(int32_t pid, uint64_t *ret_runs)
{
	char path[PROC_PATH_BYTES], status[WINDOW + 1];
	int fd = OWN_FD_MAKE(sys_openat(AT_FDCWD, proc_path((uint32_t)pid, "status", path), O_RDONLY | O_CLOEXEC, 0));
	uint64_t voluntary = 0, involuntary = 0;
	bool stopped = false;
	long len;

	for (uint64_t off = 0; (len = fd < 0 ? fd : sys_pread(fd, status, WINDOW, off)) > LINE; off += (uint64_t)len - LINE) {
		const char *state;

		status[len] = '\0';
		state = strstr(status, "\nState:\t");
		if (state)
			stopped = state[8] == 'T' || state[8] == 't';
		if (!stopped) /* it is said at the beginning, and the kernel makes all of the file for each part that is read */
			break;
		status_number(status, "\nvoluntary_ctxt_switches:\t", &voluntary);
		status_number(status, "\nnonvoluntary_ctxt_switches:\t", &involuntary);
	}
	own_fd_close(fd);
	if (stopped)
		*ret_runs = voluntary + involuntary;
	return stopped;
}
