// SPDX-License-Identifier: BSD-2-Clause
/* Finding vjd, and starting a private one when none runs. */
#ifndef VJ_CLI_DAEMON_H
#define VJ_CLI_DAEMON_H

#include "lib/ctl_client.h"

#include <sys/types.h>

enum daemon_life {
	DAEMON_DETACHED, /* lives on its own; gone when its last application leaves */
	DAEMON_CHILD,	 /* dies with this process */
};

/*
 * Starts `vjd --private` and waits until it listens.
 * @socket:  where; NULL: vjd chooses
 * @ret_pid: of the child, for DAEMON_CHILD; NULL allowed
 * Says so on standard error when it takes longer than two seconds; complains there when it fails.
 * Return: 0 or a negative errno.
 */
int daemon_start(const char *socket, enum daemon_life life, pid_t *ret_pid);

/*
 * Makes sure that a vjd runs.
 * @socket:   where; NULL: the usual places
 * @ret_path: of its socket
 * Return: 0; negative errno, complained about.
 */
int daemon_ensure(const char *socket, char ret_path[static 108]);

#endif
