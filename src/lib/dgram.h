/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dgram.h - what the kernel's UDP sockets can do and vj.h's don't, for the layer above
 *
 * Thread rule: as vj.h, one thread at a time.
 */
#ifndef LIB_DGRAM_H
#define LIB_DGRAM_H

#include <vj/vj.h>

/*
 * A flag of vj_udp_open(), beside VJ_LISTEN_*: others of this context may be at the same address and port, if they say so, too. The kernel
 * has let them. What comes is the last one's; if that has VJ_LISTEN_REUSEPORT, each of those that do has its part of the senders.
 */
enum { DGRAM_OVER = 8 };

/* As many as one call of the kernel's takes for certain */
enum { DGRAM_SEGMENTS_MAX = 64 };

/**
 * dgram_send_segments() - One buffer as datagrams of @segment bytes, as UDP_SEGMENT has it; the last may be shorter
 * @bytes: > @segment, of at most DGRAM_SEGMENTS_MAX datagrams
 * Return: bytes that left, a multiple of @segment or @bytes; -EMSGSIZE: the path does not carry a datagram of that size in one packet;
 * as vj_udp_send().
 */
ssize_t dgram_send_segments(struct vj *vj, struct vj_udp u, const struct sockaddr *remote, socklen_t remote_len, const void *buf,
			    size_t bytes, size_t segment);

/**
 * dgram_recv_more() - What came behind a datagram from the same sender, to the same address and of the same length, as UDP_GRO has it
 * @buf: takes @room bytes; whole datagrams only, the last may be shorter than @segment, the length of the first
 * @from, @to: Of the first, as vj_udp_recv() gave them
 * Return: bytes; 0: the next one isn't such, or there is none.
 */
size_t dgram_recv_more(struct vj *vj, struct vj_udp u, void *buf, size_t room, size_t segment, const struct sockaddr_storage *from,
		       const struct sockaddr_storage *to);

/** dgram_mark() - IP_TOS and IP_TTL of the socket, or for AF_INET6 IPV6_TCLASS and IPV6_UNICAST_HOPS: of what is sent from now on, 0..255 each */
void dgram_mark(struct vj *vj, struct vj_udp u, int family, uint8_t tos, uint8_t ttl);

/** dgram_rcvbuf() - What may wait to be read, in bytes; each datagram, or all that came in one packet, counts 256 more */
void dgram_rcvbuf(struct vj *vj, struct vj_udp u, uint32_t bytes);

/**
 * dgram_yield() - Datagrams for this socket are the kernel's from now on; those on the way to us still come
 * Waits for vjd's answer. What is sent over channels by this socket afterwards fails with -EINVAL.
 * @ret_late: true: some may come by an interface, which says nothing of the last one; else not written
 * Return: a number for dgram_yielded(): have all come that were on their way?
 */
uint32_t dgram_yield(struct vj *vj, struct vj_udp u, bool *ret_late);
bool dgram_yielded(const struct vj *vj, uint32_t nr);

#endif
