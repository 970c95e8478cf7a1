/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dgram_priv.h - what the files of UDP sockets share; dgram.c explains them
 *
 * dgram.c puts them on channels and takes them off, dgram_port.c looks after those at one port, dgram_copy.c after copies in other processes,
 * dgram_recv.c and dgram_send.c carry datagrams.
 */
#ifndef SOCK_DGRAM_PRIV_H
#define SOCK_DGRAM_PRIV_H

#include "sock/dgram.h"

enum { DGRAM_BYTES_MAX = 65535, PORT_BUCKETS = 4096 };

/* There since the first UDP socket; under the lock. */
struct dgram_tables {
	uint32_t at_ports[PORT_BUCKETS]; /* how many sockets are at a port, by its hash: most are alone, and need not look for others */
	uint8_t scratch[DGRAM_BYTES_MAX]; /* datagrams in pieces */
};
extern struct dgram_tables *dgram_tables;

static inline size_t iov_bytes(const struct msghdr *msg)
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
/* Is it to be asked for on channels at all? */
bool dgram_may_open(const struct sock *s);

/* ---- dgram_copy.c ----------------------------------------------------------------------------------------------- */

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
/* The last descriptor of this process went: another one at its port is use of it all the same. Not an heir: nothing happens. */
void dgram_left(struct sock *s);
/*
 * This one was bound to a port, perhaps that of heirs: who is connected there, or came last, gets datagrams as the kernel decides. The lock is given
 * up then. Return: false: it was closed meanwhile.
 */
bool dgrams_claim_at(struct sock *bound);

/* ---- dgram_recv.c ----------------------------------------------------------------------------------------------- */

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
