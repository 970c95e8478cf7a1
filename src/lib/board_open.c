// SPDX-License-Identifier: BSD-2-Clause
/* Apart from board.c: `vj run` has nothing else of the library but what talks to vjd. */
#include "channel/sys.h"
#include "lib/board.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

VJ_EARLY bool board_is_known(int fd, struct board_head *ret_head)
{
	return sys_pread(fd, ret_head, sizeof(*ret_head), 0) == sizeof(*ret_head) && !memcmp(ret_head->magic, BOARD_MAGIC, sizeof(BOARD_MAGIC)) &&
	       ret_head->version == BOARD_VERSION;
}

VJ_EARLY int board_open(const char *socket, struct board_head *ret_head)
{
	char path[BOARD_PATH_BYTES];
	size_t len = 0;
	int fd;

	for (; socket && socket[len] && len < CTL_PATH_BYTES; len++)
		path[len] = socket[len];
	if (!len || len == CTL_PATH_BYTES)
		return -ENOENT;
	memcpy(path + len, BOARD_SUFFIX, sizeof(BOARD_SUFFIX));
	fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	if (board_is_known(fd, ret_head))
		return fd;
	sys_close(fd);
	return -EPROTO;
}
