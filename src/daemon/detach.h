/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * detach.h - going to the background, and saying when ready
 *
 * detach_start() forks before anything else is done. The child sets everything up with standard
 * error still open; the parent waits for its verdict and exits with it. Whoever started vjd thus
 * sees the error, and never gets a stray child.
 */
#ifndef DAEMON_DETACH_H
#define DAEMON_DETACH_H

#include <stdbool.h>

struct detach {
	int parent_fd; /* to the waiting parent; -1: not detached */
	int ready_fd;  /* --ready-fd; -1: not given */
};

/**
 * detach_start() - Fork, unless @stay
 *
 * Closes all descriptors but the standard three and @ready_fd, so that nothing of who started us is
 * held open (a port, a lock, the end of a pipe that somebody waits for). Returns in the child only,
 * if there is one. Return: 0; negative errno: nothing was done
 */
int detach_start(bool stay, int ready_fd, struct detach *ret_detach);

/**
 * detach_ready() - Everything is set up: tell everybody who waits (parent, --ready-fd, systemd's
 * NOTIFY_SOCKET)
 *
 * Detached, standard input, output and error become /dev/null.
 */
void detach_ready(struct detach *d);

#endif
