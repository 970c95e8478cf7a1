/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * board.h - what vjd writes beside its socket for programs that are about to connect
 *
 * To attach to vjd, and to have a channel made, costs a program half a millisecond; most programs of a host never talk to one that
 * is on channels, and some are over before it has paid. So before it attaches the first time, a program reads a few bytes of the
 * file `<socket>.board`:
 *
 *	owners	  of which user are the applications that have leased this port? If there are none, and no interfaces to leave by, it is the
 *		  kernel's; and so it is if all are another user's than who asks, whom vjd would refuse.
 *	brief	  have the last processes of this program, started by the same parent, ended at once, a few connections and
 *		  frames later (BRIEF)? Then the next one's first connections are the kernel's, until a time.
 *
 * And `vj run` knows by it that there is a vjd which speaks this version, without waiting for a word of its: it is taken away before that looks
 * for the last time whether somebody has come.
 *
 * All of it is a hint, and none a promise: what it says may be old, a vjd that was killed leaves one behind, and whoever has read
 * "leased" asks vjd, which checks everything. The worst that a wrong one does is a connection that is the kernel's.
 *
 * It is read by pread(), never mapped: who may write it could cut it. Host byte order. Written by vjd alone, in place, and renamed into
 * being; a reader may see half of a change, and then asks or doesn't, see above.
 */
#ifndef CONTROL_BOARD_H
#define CONTROL_BOARD_H

#include "base/types.h"
#include "control/msg.h"
#include "control/path.h"

#include <stddef.h>
#include <stdint.h>

#define BOARD_SUFFIX ".board"
#define BOARD_MAGIC "vjboard"

enum {
	BOARD_VERSION = 3 << 16 | CTL_VERSION, /* a board is that of a vjd that can be talked to */
	BOARD_PATH_BYTES = CTL_PATH_BYTES + sizeof(BOARD_SUFFIX),
	BOARD_BRIEF_CNT = 256, /* a power of two */
	BOARD_PROTO_CNT = 2,
	BOARD_PORT_CNT = 65536,
};

/* Whose a port is: board_owner() of a user, or */
#define BOARD_OWNER_NONE UINT32_C(0)
#define BOARD_OWNER_SEVERAL UINT32_MAX /* of more than one user */

/* Of which an application may leave the host by */
struct board_head {
	char magic[8];	     /* BOARD_MAGIC */
	uint32_t version;    /* BOARD_VERSION; another one is not read on */
	uint32_t interfaces; /* attached, as in WELCOME */
};

struct board_brief {
	uint64_t key;	   /* board_key(); 0: free */
	uint64_t until_ns; /* CLOCK_MONOTONIC */
};

struct board {
	struct board_head head;
	struct board_brief brief[BOARD_BRIEF_CNT]; /* at the place that board_slot() says */
	uint32_t owners[BOARD_PROTO_CNT][BOARD_PORT_CNT]; /* TCP, UDP; most of it was never written, and takes no memory */
};
_Static_assert(sizeof(struct board_head) == 16 && sizeof(struct board_brief) == 16 &&
		       sizeof(struct board) == 16 + 16 * BOARD_BRIEF_CNT + 2 * 4 * 65536,
	       "the file has no holes");

/* How long a program may be left to the kernel without being looked at again. A time further ahead is none of ours. */
enum { BOARD_REST_MAX_S = 32 };

/** board_key() - A program as vjd knows it again: whose, started by whom, under what name. Never 0. @name: NUL-terminated */
uint64_t board_key(uint32_t uid, int32_t parent, const char *name);

static inline unsigned board_slot(uint64_t key)
{
	return (unsigned)(key % BOARD_BRIEF_CNT);
}

/** board_owner() - @uid as the board has it. 4294967295 is no user's, and the one before shares its place with "several". */
static inline uint32_t board_owner(uint32_t uid)
{
	return uid + 1;
}

/** board_owner_at() - Where in the file a port's owner is. @udp: else TCP */
static inline size_t board_owner_at(bool udp, uint16_t port)
{
	return offsetof(struct board, owners) + ((udp ? BOARD_PORT_CNT : 0u) + port) * sizeof(uint32_t);
}

/** board_brief_at() - Where in the file the entry of @key is, if it has one */
static inline size_t board_brief_at(uint64_t key)
{
	return offsetof(struct board, brief) + board_slot(key) * sizeof(struct board_brief);
}

#endif
