/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * path.h - where vjd's control socket is looked for
 *
 * The one place of the search order. Pure: the caller reads the environment and tests what is
 * really there.
 *
 *	$VJ_SOCKET                           if set, this and nothing else
 *	/run/vjchan/vjd.sock                 the service of the host
 *	$XDG_RUNTIME_DIR/vjchan/vjd.sock     a private vjd; /run/user/UID if the variable isn't set
 *	/tmp/vjchan-UID/vjd.sock             a private vjd where there is no such directory
 *
 * A private vjd takes the first private path whose directory it can make. Clients try all, in this
 * order, so that two programs of one user meet even if only one of them was started with
 * XDG_RUNTIME_DIR. Whoever may create the socket of a private path could pose as vjd, therefore
 * clients ask the kernel who listens (SO_PEERCRED).
 */
#ifndef CONTROL_PATH_H
#define CONTROL_PATH_H

#include <stdint.h>

enum {
	CTL_PATH_BYTES = 108, /* sizeof(sun_path), with the terminating zero */
	CTL_PATH_CANDIDATES_MAX = 3
};

enum ctl_path_kind {
	CTL_PATH_GIVEN,	  /* somebody named it: trusted as named */
	CTL_PATH_SERVICE, /* below a directory that only root can make */
	CTL_PATH_PRIVATE, /* must be listened to by the user's own vjd */
};

/* Values of the environment; NULL or "" is "not set". */
struct ctl_path_env {
	const char *vj_socket;	     /* VJ_SOCKET */
	const char *xdg_runtime_dir; /* XDG_RUNTIME_DIR; ignored unless absolute */
	uint32_t uid;		     /* effective */
};

struct ctl_path {
	enum ctl_path_kind kind;
	char text[CTL_PATH_BYTES];
};

/**
 * ctl_path_candidates() - Paths to try, in this order
 * @ret_paths: Filled; paths that don't fit in a socket address are left out
 * Return: number of them; 0: $VJ_SOCKET is set, but too long
 */
unsigned ctl_path_candidates(const struct ctl_path_env *env,
			     struct ctl_path ret_paths[static CTL_PATH_CANDIDATES_MAX]);

#endif
