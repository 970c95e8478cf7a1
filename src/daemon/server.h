/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * server.h - vjd's control socket and its loop
 *
 * Every packet comes in through one function (receive_one() in server.c): length and descriptor
 * count are checked by ctl_packet_check() there and nowhere else. Credentials are the kernel's,
 * taken at accept.
 *
 * Whether a client lives is seen twice: its socket ends, or its process does. The second is watched
 * by a pidfd, because a forked child may hold the socket open.
 */
#ifndef DAEMON_SERVER_H
#define DAEMON_SERVER_H

#include "daemon/vjd.h"

struct server;

struct server_config {
	struct vjd_config vjd; /* @netns is filled in */
	const char *path; /* of the socket, which replaces one that is there; outlives the server */
	uint32_t socket_mode;  /* permissions, e.g. 0666 */
	uint64_t idle_exit_ns; /* leave so long after the last application left; TIME_NEVER: stay */
	uint64_t first_exit_ns; /* ... or after the start, or after somebody came, if it has been none */
	const char *policy; /* file, read now and at each SIGHUP; NULL: there is none. Outlives the server */
	bool policy_optional; /* as long as @policy isn't there, everybody may have everything */
};

/**
 * server_new() - Take the name at which server_open() lets applications in
 *
 * The caller makes sure that it is alone at @path (place.h). SIGTERM, SIGINT and SIGHUP must be
 * blocked; the first two end server_run(), the third has the policy read anew.
 *
 * @ret_why: of -EBADMSG, which means that the policy isn't right
 * Return: 0; -EEXIST: something that isn't a socket is at @path; -ENAMETOOLONG; errors of the
 * system calls
 */
int server_new(const struct server_config *cfg, struct server **ret_server, char ret_why[static POLICY_WHY_BYTES]);

/** server_attach() - As an ATTACH would, of channels or of a gateway. Return: as interfaces_attach() */
enum ctl_refusal server_attach(struct server *s, const char *name, bool gateway, const struct ip_prefix *prefix);

/**
 * server_open() - Let applications in
 *
 * Whoever comes before is refused and comes again, rather than wait for interfaces that are made ready, which takes
 * seconds where BPF programs are checked slowly, and go on without.
 *
 * Return: 0; negative errno
 */
int server_open(struct server *s);

/**
 * server_run() - Serve until a signal, or until nobody needs it. Wants server_open(). Return: 0; negative errno: the
 * loop itself failed
 */
int server_run(struct server *s);

/** server_free() - Hang up on everyone and unlink the socket. NULL allowed */
void server_free(struct server *s);

#endif
