// SPDX-License-Identifier: BSD-2-Clause
#include "lib/sysctl.h"

#include "channel/sys.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 64

static bool value_read(const char *dir, const char *name, char ret_value[static VALUE_MAX])
{
	char path[256];
	long len;
	int fd;

	if (snprintf(path, sizeof(path), "%s/tcp_%s", dir, name) >= (int)sizeof(path))
		return false;
	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return false;
	len = sys_read(fd, ret_value, VALUE_MAX - 1);
	sys_close(fd);
	if (len <= 0)
		return false;
	ret_value[len] = '\0';
	ret_value[strcspn(ret_value, "\n")] = '\0';
	return true;
}

void sysctl_read(const char *dir, struct tcp_settings *set)
{
	char value[VALUE_MAX];
	const char *name;

	for (unsigned i = 0; (name = sysctl_name(i)) != NULL; i++)
		if (value_read(dir, name, value))
			sysctl_set(set, i, value);
}
