// SPDX-License-Identifier: BSD-2-Clause
/* board.h - is a first connection worth a context? Programs' side of control/board.h. */
#ifndef VJ_LIB_BOARD_H
#define VJ_LIB_BOARD_H

#include "control/board.h"

#include <vj/vj.h>

#include <stdbool.h>

enum board_says {
	BOARD_ASK,    /* vjd: there may be somebody, or nothing is known */
	BOARD_NOBODY, /* no application has that port, and no interface leads there */
	BOARD_OTHERS, /* applications of other users have it, and vjd would refuse; no interface leads there */
	BOARD_BRIEF,  /* the last processes of this program ended at once */
};

/* A board that is looked at for each of many connections. Starts as zeros */
struct board_kept {
	unsigned looks;
	int fd;		   /* if until_ns */
	uint64_t until_ns; /* CLOCK_MONOTONIC */
	struct {
		uint64_t until_ns; /* 0: nothing */
		enum board_says says;
		uint16_t port;
		bool udp, loopback;
	} said; /* that leaves it to the kernel, and would once more */
};

/** board_is_known() - Is what @fd reads from a board of this version? */
bool board_is_known(int fd, struct board_head *ret_head);

/** board_open() - Return: a descriptor to read from, for sys_close(); negative errno: there is none beside @socket, or it isn't one that is known */
int board_open(const char *socket, struct board_head *ret_head);

/**
 * board_look() - What the board of the vjd at @socket says about @addr; a few system calls, no waiting
 * @k:      of this process: by who looks often and has no threads it is kept open between looks, up to 100 ms; and what it says of a port counts for 10 ms
 * @socket: path of vjd's socket; NULL: not known, which is BOARD_ASK
 * @udp:    else TCP, which alone can be BOARD_BRIEF
 */
enum board_says board_look(struct board_kept *k, const char *socket, const struct sockaddr *addr, socklen_t len, bool udp);

/** board_let_go() - Close what is kept open */
void board_let_go(struct board_kept *k);

/**
 * board_tell_brief() - Have vjd write that this program ends after so little that its kind is better off without a context
 * Does not wait for vjd; one system call, or two.
 */
void board_tell_brief(struct vj *vj);

#endif
