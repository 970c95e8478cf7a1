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
 * Takes up to ten seconds. Complains on standard error when it fails.
 * Return: 0 or a negative errno.
 */
int daemon_start(const char *socket, enum daemon_life life, pid_t *ret_pid);

/*
 * Makes sure that a vjd runs: finds one, or starts a private one. Where one was looked for along the search order (control/path.h), one that is there
 * and not for this user, or of another version, is no hindrance to a private one; one that doesn't answer is, as the user's other programs are with it.
 * @socket:      where; NULL: the usual places
 * @ret_path:    of its socket
 * @ret_failure: why there is none, and about which socket; for -ETIMEDOUT with a path, that one may answer later
 * Takes up to a second if one is there that doesn't answer, and up to five if one has to be started.
 * Return: 0; negative errno
 */
int daemon_ensure(const char *socket, char ret_path[static CTL_PATH_BYTES], struct ctl_client_failure *ret_failure);

#endif
