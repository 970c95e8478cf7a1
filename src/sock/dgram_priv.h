/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dgram_priv.h - what the files of UDP sockets share; dgram.c explains them
 *
 * dgram.c puts them on channels and takes them off, dgram_port.c looks after those at one port, dgram_copy.c after copies in other processes, with what
 * these have in common (dgram_parcel.c) or have to ask for (dgram_far.c); dgram_recv.c and dgram_send.c carry datagrams.
 */
#ifndef SOCK_DGRAM_PRIV_H
#define SOCK_DGRAM_PRIV_H

#include "sock/dgram.h"
#include "sock/kernel.h"

#include "lib/report.h"

enum {
	DGRAM_BYTES_MAX = 65535,
	PORT_BUCKETS = 4096,
	DGRAM_FEW = 32, /* datagrams that cost by the kernel about what it takes to be on channels */
};

/* There since the first UDP socket; under the lock. */
struct dgram_tables {
	uint32_t at_ports[PORT_BUCKETS]; /* how many sockets are at a port, by its hash: most are alone, and need not look for others */
	uint8_t scratch[DGRAM_BYTES_MAX]; /* datagrams in pieces */
};
extern struct dgram_tables *dgram_tables;

static inline size_t msg_bytes(const struct msghdr *msg)
{
	size_t bytes = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++)
		bytes += msg->msg_iov[i].iov_len;
	return bytes;
}

/* ---- dgram.c ---------------------------------------------------------------------------------------------------- */

/* Lock held in all of these. */
/* @keep: what has come over channels is to be read all the same */
void dgram_close(struct sock *s, bool keep);
/* For good */
void dgram_stay(struct sock *s, enum report_why why);
/* Context there. Return: 0; -errno: the kernel alone. */
int dgram_open(int fd, struct sock *s);
/* Bytes of @msg before a piece that is no memory */
static inline size_t iov_good_bytes(const struct msghdr *msg)
{
	size_t bytes = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		if (is_wild(msg->msg_iov[i].iov_base) && msg->msg_iov[i].iov_len)
			break;
		bytes += msg->msg_iov[i].iov_len;
	}
	return bytes;
}

/* `asks_kernel`: the kernel's error, taken; it is asked no more. Return: 0: none; -errno */
long dgram_kernel_error(struct sock *s);
/* Is it to be asked for on channels at all? */
bool dgram_may_open(const struct sock *s);

/* ---- dgram_parcel.c --------------------------------------------------------------------------------------------- */

struct parcel;

/* It has none. Return: false: no memory, or descriptors */
bool parcel_make(struct dgram *d);
/* One that came from another process; @fd is taken in any case. Return: false: it is none, or there is one */
bool parcel_take(struct dgram *d, int fd);
/* One that a thread waits for is dropped by whoever reads next. */
void parcel_drop(struct dgram *d);
void parcel_unmap(struct parcel *p);
bool parcel_is_open(const struct parcel *p);
bool parcel_is_claimed(const struct parcel *p);
/* Of one that is OPEN: is there nothing to be had? */
bool parcel_is_empty(const struct parcel *p);
/* This process puts the socket on channels. Return: false: another one uses it, or asks for it. And it has come to nothing: */
bool parcel_hold(struct parcel *p);
void parcel_unhold(struct parcel *p);
/* This process uses the socket, and isn't the holder. Return: true: it may go on; false: as soon as it is OPEN */
bool parcel_claim(struct parcel *p);
/* For that, or so long, < 1000 ms. Without the lock */
void parcel_wait(struct parcel *p, int ms);
/* One that the holder had; taken. Return: positive errno; 0: none */
int parcel_error(struct parcel *p);
/* It is about to leave channels: who has a copy, or with @keep this process itself, is to have what has come. */
void dgram_pack(struct sock *s, bool keep);
/*
 * As vj_udp_recv(), into @msg, of what was packed; there is a parcel. Return: the whole length; -EAGAIN: nothing any more, and perhaps no parcel; an error
 * that the holder had.
 */
long dgram_unpack(struct sock *s, struct msghdr *msg, int flags, struct sockaddr_storage *ret_from, struct sockaddr_storage *ret_to);
/* Of a parcel: poll bits; bytes of the next one, or -EAGAIN */
uint32_t dgram_parcel_level(const struct dgram *d);
int dgram_parcel_bytes(const struct dgram *d);
/* ---- dgram_copy.c ----------------------------------------------------------------------------------------------- */

/* It is about to be put on channels. Return: false: another process uses it. To be followed by dgram_held(): it is, or isn't */
bool dgram_hold(struct sock *s);
void dgram_held(int fd, struct sock *s);
/* The last descriptor of this process went: another one at its port is use of it all the same. Not an heir: nothing happens. */
void dgram_left(struct sock *s);
/*
 * This one was bound to a port, perhaps that of heirs: who is connected there, or came last, gets datagrams as the kernel decides. The lock is given
 * up then. Return: false: it was closed meanwhile.
 */
bool dgrams_claim_at(struct sock *bound);

/* ---- dgram_far.c ------------------------------------------------------------------------------------------------ */

/* Lock held in all of these. Programs without memory in common may come to have a copy: from now on they can ask. Return: 0; -errno */
int far_name(struct sock *s);
void far_unname(struct dgram *d);
/* It is about to be put on channels: not, if others have asked (dgram.stays). And it is, or isn't, at @fd */
void far_hold(struct sock *s);
void far_held(int fd, struct sock *s);
void far_free(struct dgram *d);
/* In a child of fork() */
void far_forked(struct dgram *d);
/* Who has asked? If it isn't on channels it never will be, and they are answered. */
void far_look(struct sock *s);
bool far_is_asked(const struct dgram *d);
/* It has left channels: those who have asked may go on. */
void far_answer(struct sock *s);
/* Ask, as an heir without a parcel, and wait; the lock is given up meanwhile. */
void far_claim(struct sock *s);
/* Leave what is unread to the program that this process becomes; @fd: its number there */
void far_note(int fd, struct sock *s);

/* ---- dgram_recv.c ----------------------------------------------------------------------------------------------- */

/*
 * Who is asked first for the next datagram? The one who had the last, so that a sender who has changed over keeps his order: more than the kernel has
 * in a queue of the usual size; and then the other, whatever waits.
 */
static inline bool dgram_is_others_turn(const struct dgram *d)
{
	enum { IN_ROW_MAX = 1024 };

	return d->in_row >= IN_ROW_MAX;
}

static inline bool dgram_kernel_first(const struct dgram *d)
{
	return d->peeked ? d->from_kernel : d->from_kernel != dgram_is_others_turn(d);
}

/* Return: bytes that there was room for. */
size_t dgram_scatter(const struct msghdr *msg, const uint8_t *from, size_t len);

/* ---- dgram_port.c ----------------------------------------------------------------------------------------------- */

/* What is to be known of ours at one port */
struct at_port {
	bool any_open, any_stays;
	int next_fd; /* the first, in the order of bind(), that isn't open; -1: none */
};
struct at_port port_look(uint16_t port_be);
/* @d is at that port from now on; 0: at none */
void port_set(struct dgram *d, uint16_t port_be);
/* One of ours at this port can't be on channels: what is for it must not come to the others. 0: no port */
void port_leave(uint16_t port_be, enum report_why why);
/* As dgram_open(), of all sockets at the port. */
int port_open(int fd, struct sock *s);

/* ---- dgram_send.c ----------------------------------------------------------------------------------------------- */

/* Does a datagram to this address go over a channel? Asks, and puts the socket on channels, if need be. */
bool dgram_to_channel(int fd, struct sock *s, const struct sockaddr *sa, socklen_t len);

#endif
