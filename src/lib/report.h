/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - an application tells about itself: REPORT of the control protocol
 *
 *	vj (asks)                     vjd                        application
 *	  REPORT app 7, conns ────────►
 *	  ◄──── REPORTING, socket A     REPORT_WANTED, socket B ────►
 *	                                                  snapshot into a memfd, sealed
 *	  A ◄──────────────── REPORTED, memfd ───────────────────── B
 *
 * The asked never waits: what the socket does not take at once is not said. It keeps nothing for the asker, and
 * takes one snapshot for each question that vjd lets through. The asker believes nothing: the memfd must be sealed and of the
 * size that REPORTED says, and records are copied out with pread(), so a file that is cut short is an error and no signal.
 */
#ifndef LIB_REPORT_H
#define LIB_REPORT_H

#include "control/msg.h"

#include <vj/vj.h>

struct vj;

/* CTL_REPORT_CONNS: one TCP connection. The struct of a later version is longer. */
struct report_conn {
	struct ctl_endpoint local, remote;
	struct vj_conn_info info; /* sz: as the application knows it */
};

/* CTL_REPORT_SOCKS: one socket, as the sockets layer of the process knows it */
enum report_way {
	REPORT_WAY_NONE,    /* not decided, or cut off */
	REPORT_WAY_CHANNEL, /* a connection on a channel */
	REPORT_WAY_KERNEL,  /* the kernel's alone */
	REPORT_WAY_BOTH,    /* takes what comes from either: listening and UDP sockets */
	REPORT_WAY_OURS,    /* none of the program's: a descriptor of the library */
};

/* Why not on a channel: name, sentence for people. Numbers stay; new ones come at the end. */
#define REPORT_WHYS(X)                                                                                          \
	X(NONE,          "")                                                                                    \
	X(UNDECIDED,     "neither connected nor listening yet")                                                 \
	X(NOT_ACCEPTING, "nobody in this process has waited for a connection yet")                              \
	X(TRIAL,         "programs of this host only, until two connections were accepted without a fork between them") \
	X(UNUSED,        "nothing was read from it yet, nor sent to a program under vj run; or few answers")                      \
	X(NOT_LOCAL,     "the address is another host's, and no interface with channels is there, or no single one") \
	X(ROUTES,        "the host has rules of routing (ip rule), or several hops lead there: only the kernel knows the way") \
	X(NO_OWNER,      "no program under vj run has that address and port, or it has not waited for clients there yet") \
	X(OWNER_GONE,    "the program that had that port on channels gave it up before it took the connection, which is the kernel's now: connect anew for a channel") \
	X(REFUSED,       "vjd refuses this user, or the port belongs to another user's program")                \
	X(NO_VJD,        "no vjd ran just then (vj status): new connections, and who listens, ask again")       \
	X(SILENT,        "vjd, or the program that has that port, did not answer in time (vj status): new connections, and who listens, ask again") \
	X(VERSION,       "library and vjd speak different versions")                                            \
	X(PORT_TAKEN,    "another program has leased that port: to share it both must keep SO_REUSEPORT set")   \
	X(DESCRIPTORS,   "too few descriptors are allowed, or left: raise the hard limit (ulimit -Hn)")         \
	X(QUOTA,         "a quota of vjd, or memory, is used up: vj status shows the use; --memory-max, --leases-max, --channels-max of vjd(8)") \
	X(OTHER,         "vjd could not serve it: its log says why, if it runs with --verbose")                 \
	X(SHARED_PORT,   "several sockets share the port: only the kernel knows which of them a datagram is for; each with a port of its own has channels") \
	X(FORKED,        "used by a process that has it from another one, or binds to its port: only the kernel serves both") \
	X(OPTION,        "a socket option asks for what channels do not give")                                  \
	X(CUT_OFF,       "its connection was another process's, which ended before this one used it: it is reset; connect anew") \
	X(CONFINES,      "the program confines the processes that serve connections, by seccomp: they can have no channel")    \
	/* these two are found from outside: the process does not know such sockets */                          \
	X(ACCEPTED,      "accepted from the kernel: the peer is not under vj run, or came before the port was leased") \
	X(UNKNOWN,       "not made through the library: inherited, received, or of a kind that is always the kernel's") \
	X(BRIEF,         "other processes use its connections, which are over too soon for channels to pay; looked at again later") \
	X(HANDED,        "its connections become other programs' standard input, which may read in ways that lead through the kernel anyway") \
	X(CAGED,         "the processes that serve its connections can open no channel: they have no way to vjd, or no descriptors left") \
	X(BLIND,         "it starts programs without the library, which may be the ones that accept: it has not called accept() itself so far") \
	X(SHORT,         "the last processes of this program ended after a few frames: their first connections are the kernel's for a while") \
	X(BOUND,         "bound before it connects: over an interface the kernel alone may use that port, or address")  \
	X(HANDS_OVER,    "programs of this host only: its connections are sent to other processes, where those over an interface become the kernel's") \
	/* these two vj finds, of what the process says and vjd's account of the firewall's rules */             \
	X(FIREWALL,      "the firewall leaves it to the kernel; its rule: see below")                           \
	X(FIREWALL_FAR,  "programs of this host only, the firewall leaves the rest to the kernel; its rule: see below") \
	X(TURNS,         "its processes wait for connections by turns; looked at again after a while") \
	X(UNANSWERED,    "its peer did not answer over the channel: it was stopped (SIGSTOP, a debugger), or the answers come back by another interface") \
	X(USED_ELSEWHERE, "over an interface, and used by another process, too, or handed on to one: it has become the kernel's") \
	X(FILTERED,      "the program has put itself under a seccomp filter") \
	X(DETACHED,      "its interface was detached while it stood: it has become the kernel's; after vj attach new ones are on channels") \
	X(COPY,          "a copy that this process has not used yet: what comes over channels, if anything does, is for who made the socket") \
	X(COPIED,        "other processes may have copies: it stays on channels until one of these is used") \
	X(NOT_READ,      "nobody has read from it, or only a process that has it from another one; nor was it used to send to a program under vj run") \
	X(RING,          "the program's io_uring works on it, or on others of its sockets: a ring doesn't see channels; its epoll does, if it has that choice") \
	X(NAMESPACE,     "made in another network namespace than that in which the program uses channels: one started inside (ip netns exec NAME vj run ...) has channels there")

enum report_why {
#define X(name, text) REPORT_WHY_##name,
	REPORT_WHYS(X)
#undef X
		REPORT_WHY_CNT
};

enum { REPORT_INTERFACES = 4 };

struct report_sock {
	int32_t fd;
	uint8_t way, why; /* enum report_way, report_why; ones unknown here are a later library's */
	uint8_t pad[2];
	struct ctl_endpoint local, remote; /* REPORT_WAY_CHANNEL; else 0, and the kernel tells */
	uint32_t ifindex[REPORT_INTERFACES]; /* REPORT_WAY_BOTH: interfaces by which it is reached on channels; 0: no more */
};

/* A report that is being written. */
struct report_sheet;
/* One record, of the size that this kind has. What is too much is counted. */
void report_add(struct report_sheet *sheet, const void *record);
/* Of the sockets layer, if there is one: adds a struct report_sock for each. NULL: nothing to tell. */
extern void (*report_socks_hook)(struct report_sheet *sheet);
/* A process that is the kernel's for that has a page of this name, since it can't be asked: FILTERED, BRIEF */
#define REPORT_FILTERED_MARK "vjchan-filtered"
#define REPORT_BRIEF_MARK "vjchan-brief"
/* Nothing is answered any more: the program has put itself under a filter of system calls, which may not have what an answer takes. */
extern bool report_off;

/**
 * report_answer() - Answer a REPORT_WANTED
 * @fd: The event's socket; stays the caller's
 *
 * Makes system calls, does not block. What cannot be told (no memory, no descriptors, unknown kind) is not told:
 * the asker sees the socket end.
 */
void report_answer(struct vj *vj, int fd, uint32_t kind);

/**
 * report_recv() - Take the answer
 * @fd:            Of ctl_client_report(); stays the caller's
 * @kind, @bytes:  What was asked for, and the size of a record as the caller knows it
 * @timeout_ms:    Longest wait
 * @ret_records:   @ret_cnt records of @bytes, cut or filled up with zeros; the caller's to free()
 * @ret_left_out:  How many were not told
 *
 * Blocks. Return: 0; -ETIMEDOUT: it runs, but does not come to it; -ENODATA: it hung up, or does not know that kind; -EPROTO: it talks
 * nonsense; -ENOMEM, -EMFILE.
 */
int report_recv(int fd, uint32_t kind, size_t bytes, int timeout_ms, void **ret_records, uint32_t *ret_cnt,
		uint64_t *ret_left_out);

#endif
