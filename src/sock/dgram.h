/* SPDX-License-Identifier: BSD-2-Clause */
/* dgram.h - UDP sockets, as the rest of the sockets layer knows them; dgram.c explains them */
#ifndef SOCK_DGRAM_H
#define SOCK_DGRAM_H

#include "sock/dest.h"
#include "sock/file.h"
#include "sock/undo.h"

/* What a UDP socket has besides; dgram.c. */
struct dgram {
	struct vj_udp udp; /* if `open`: on channels, beside the kernel */
	bool open;
	bool stays; /* with the kernel, for good */
	bool sends_to_kernel; /* datagrams made of pieces */
	bool wants_pktinfo, wants_pktinfo6;
	bool v6only; /* IPV6_V6ONLY */
	int wants_stamp;    /* SO_TIMESTAMP and its like; 0: none */
	uint8_t mtu_mode4, mtu_mode6; /* IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, each plus one; 0: not set */
	bool dontfrag6;		      /* IPV6_DONTFRAG */
	bool marked4, marked6; /* what IP's header says was set: IP_TOS, IP_TTL; IPV6_TCLASS, IPV6_UNICAST_HOPS */
	uint32_t in_kernel; /* threads in a call of the kernel's that may wait */
	uint32_t in_row;    /* datagrams that were received since `from_kernel` changed, or the other one was asked first */
	uint32_t carried;   /* datagrams, while it is on channels, or may come to be */
	uint32_t bound_nr;  /* bind() calls of the process before it */
	uint16_t port_be;   /* of bind(), or on channels; 0: none */
	uint16_t segment;   /* UDP_SEGMENT; 0: not set */
	uint16_t dest_nr;   /* dest.c: for whom it was put on channels, or will be; 0: nobody */
	bool gro;	    /* UDP_GRO */
	uint8_t in_vain;    /* reads in a row that didn't wait, and found nothing, while it was the kernel's */
	bool tried;	    /* to be on channels, by reading */
	bool spoke;	    /* has sent, or was connected, while it was the kernel's: what it reads may be answers */
	bool from_kernel;   /* the last one that was received, or looked at */
	bool from_channel;  /* likewise; before the first, neither */
	bool asks_kernel;   /* connected, and something has gone by the kernel, whose error comes before anything of channels */
	bool peeked;	    /* that was not received yet */
	bool heir;	    /* a copy of a socket that another process may have on channels, which does not know yet that it is used here */
	bool yields;	    /* `open`: is about to become the kernel's, and leased no more */
	uint32_t yield_nr;  /* `yields`: dgram_yield() of the library */
	uint32_t claims;    /* threads that look at `parcel` without the lock: it stays mapped */
	struct parcel *parcel; /* dgram_parcel.c: what copies have in common; if OPEN: what comes before the kernel's. NULL: nothing */
	int parcel_fd;	    /* its memfd; -1 */
	int line_fd;	    /* `heir` with a parcel: where that one is called */
	int name_fd;	    /* dgram_far.c: where others ask; -1 */
	int note_fd;	    /* what the next program is to find; -1 */
	uint64_t cookie;    /* if it has had a name: SO_COOKIE */
	struct asked *asked; /* who has come there; some wait for the answer */
	socklen_t peer_len; /* of connect(); 0: not connected */
	struct sockaddr_storage peer;
};

/* All with the lock held. What a new UDP socket has beside struct sock, to be freed. Return: NULL: no memory */
struct dgram *dgram_new(void);
/* The kernel has bound it. Return: 0; -ENETDOWN: strict, and no channel. */
int dgram_bound(int fd, struct sock *s);
/* The program is told the port that the kernel chose. */
void dgram_named(int fd, struct sock *s);
/* Return: as connect(), -errno. */
int dgram_connect(int fd, struct sock *s, const struct sockaddr *addr, socklen_t len);
/* Return: as shutdown(), -errno. */
int dgram_shutdown(int fd, struct sock *s, int how);
/* The program takes datagrams from it, or looks at them (MSG_PEEK in @flags): it is on channels from now on, if it has a port and may be. An heir is claimed. */
void dgram_reads(int fd, struct sock *s, int flags);
/* The last descriptor went. */
void dgram_free(struct sock *s);
/*
 * As recvmsg() and sendmsg(), -errno; the lock is given up while they block. @plain: the program's call has no msghdr, and the kernel's is to have none
 * either, which would be dearer, and takes an address of no bytes for none.
 */
long dgram_recv(int fd, struct sock *s, struct msghdr *msg, int flags, bool plain);
long dgram_send(int fd, struct sock *s, const struct msghdr *msg, int flags, bool plain);
/*
 * The first of these, if they go to one destination over a channel: together. The lock is held all the time.
 * Return: how many left; 0: dgram_send() has to say what becomes of the first; -ECONNREFUSED, once.
 */
long dgram_send_run(int fd, struct sock *s, struct mmsghdr *msgs, unsigned cnt, int flags);
/* The error that the next call would report, of what went over channels; taken. Return: positive errno; 0: none */
int dgram_error(struct sock *s);
/* Or of the kernel's. Return: 0; -errno */
long dgram_any_error(struct sock *s);
/* Would this one go to the kernel, and with it a whole batch? */
bool dgram_sends_to_kernel(int fd, struct sock *s, const struct msghdr *msg);
/* Around a call of the kernel that may wait: the lock is given up between. */
struct dgram_hold {
	struct undo undo;
	struct sock *sock;
};
void dgram_kernel_begin(struct dgram_hold *h, struct sock *s);
void dgram_kernel_end(struct dgram_hold *h);
/* An option that the kernel has taken, which has it at @fd */
void dgram_option(int fd, struct sock *s, int level, int name, const void *val, socklen_t len);
/* Level as poll bits, channel side only */
uint32_t dgram_level(const struct sock *s);
/* Something has come over a channel to one that would ask the kernel first */
void dgram_arrived(struct sock *s);
/* Has it anything to read but what the kernel has? */
bool dgram_waits(const struct sock *s);
/* FIONREAD. Return: bytes of the next datagram on channels; -EAGAIN: none. An heir is claimed by that. */
int dgram_next_bytes(struct sock *s);

/* ---- dgram_copy.c: copies in other processes ------------------------------------------------------------------- */

/* Lock held in all of these. Before fork(): what is on channels, or will be, may be used by the child. */
void dgrams_share(void);
/* The same before another program is started, which has no memory of ours */
void dgrams_share_spawned(void);
/* A context is there: who calls is heard; or there soon is none. */
void dgrams_attach(void);
void dgrams_detach(void);
/*
 * In the child: each of its sockets; then, once, what all have in common. Descriptors of ours that it goes on using are not among ours until
 * dgrams_kept(), when the others have been closed.
 */
void dgram_inherited(struct sock *s);
void dgrams_inherited(void);
void dgrams_kept(void);

/* @s is an heir, and is used: its holder is to give it to the kernel. The lock is given up meanwhile. Return: false: it was closed then. */
bool dgram_claim(struct sock *s);
/* The same of those at standard descriptors that the next program has, too */
void dgrams_claim_stdio(void);

/* The helper's turn: those that were claimed become the kernel's. The lock is given up until what is on its way has come. */
void dgrams_look(void);
/* The same unasked, of all that may have heirs: this process ends, or becomes another program, which finds what is unread ... */
void dgrams_yield(void);
void dgrams_yield_exec(void);
/* ... and of @s, with what else is at its port: it is about to be closed, or others are about to get it. */
void dgram_give(struct sock *s);
/* By message: what comes for it is the kernel's, and who gets it can have what is unread. */
void dgram_sent(struct sock *s);
bool dgram_has_heirs(const struct sock *s);

/* ---- dgram_far.c: what a program begins with, or is sent -------------------------------------------------------- */

/* A UDP socket of that family. Lock held; not known yet. */
void dgram_adopt(int fd, int family);
/* Return: false: it is no note of a former program */
bool dgram_adopt_note(int fd);

#endif
