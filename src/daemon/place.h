/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * place.h - the directory of vjd's socket, and being the only one there
 *
 * A file lock beside the socket decides which of several vjds that start at once may stay; the
 * kernel drops it when its holder dies, however it dies. The lock file is left behind: to unlink it
 * would let two hold "the" lock.
 *
 * The directory of a private vjd is made with mode 0700 and used only if it is a directory, not a
 * symbolic link, belongs to this user, and nobody else may enter it; and if the directory above
 * can't be used to replace it.
 */
#ifndef DAEMON_PLACE_H
#define DAEMON_PLACE_H

#include "control/path.h"

#include <stdbool.h>

enum { PLACE_WHY_BYTES = 256 };

struct place {
	struct ctl_path path;
	int lock_fd;
	bool locked;
};

/**
 * place_open() - Prepare the directory of @path, open the lock file
 * @path:    CTL_PATH_PRIVATE: the directory is made and checked; else it must be there
 * @ret_why: PLACE_WHY_BYTES; on failure, what is wrong, for people
 * Return: 0; negative errno
 */
int place_open(const struct ctl_path *path, struct place *ret_place,
	       char ret_why[static PLACE_WHY_BYTES]);

/** place_lock() - Return: 0: ours until place_close(); -EAGAIN: another vjd has it, or had it until now; others */
int place_lock(struct place *place);

/** place_is_served() - Does anybody answer at the socket? */
bool place_is_served(const struct place *place);

/** place_close() - Leave nothing behind */
void place_close(struct place *place);

#endif
