/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * iflink.h - what a link over an interface has more than one to a peer: a next hop for each packet
 *
 * The channel's other end is the kernel (driver/afxdp.h); what goes in comes out on the wire, so the link loses, computes checksums,
 * and has the interface's MTU. To whom a frame goes on the wire is looked up in the host table (control/host_table.h), by the destination
 * address in the frame, and kept in a small cache that counts as long as the table hasn't changed.
 *
 * A frame for a neighbour that isn't known waits here, as it does in the kernel: some for each link, copied out of the channel's frames,
 * until vjd says that the kernel has found it, or that it does not answer, which the stack is told; or for WAIT_NS at most.
 */
#ifndef LIB_IFLINK_H
#define LIB_IFLINK_H

#include "base/addr.h"
#include "control/msg.h"

struct iflink;
struct vj;
struct vj_channel;
struct vj_link;

/**
 * iflink_open() - Map all that INTERFACE_OPEN brought
 * @fds: Taken in any case; the socket's stays open
 * Return: 0; errors of afxdp_open(); -EPROTO: the host table is none that is known here
 */
int iflink_open(struct vj *vj, const struct ctl_interface *said, const int fds[static CTL_FDS_MAX],
		struct iflink **ret_iflink);

/** iflink_close() - NULL is allowed */
void iflink_close(struct iflink *ifl);

/** iflink_forget() - In a child of fork(): nothing is mapped, close what is open */
void iflink_forget(struct iflink *ifl);

struct vj_channel *iflink_channel(const struct iflink *ifl);

/** iflink_mac_changed() - The interface has another address: of what waits, too */
void iflink_mac_changed(struct iflink *ifl, const uint8_t mac[static 6]);

/** iflink_said() - What vjd said of it: key, addresses */
const struct ctl_interface *iflink_said(const struct iflink *ifl);

/** iflink_fd() - The socket: readable when frames have come */
int iflink_fd(const struct iflink *ifl);

/**
 * iflink_address() - Write the next hop's MAC address into a frame that the stack has composed
 * Return: false: it isn't to be sent now: a copy waits for its neighbour, or it can't go anywhere, or its route
 *         carries less (iflink_too_big()). A datagram goes all the same: its program may have said that it is to
 */
bool iflink_address(struct iflink *ifl, uint8_t *frame, uint32_t len);

/* What the route of a frame is too narrow for: @packet is its beginning, from the IP header on. */
struct iflink_too_big {
	uint32_t mtu, len;
	uint8_t packet[128];
};

/**
 * iflink_too_big() - Take one packet that was longer than the MTU of its route; the stack is to know, outside of its calls
 * Return: NULL: there is none (more); valid until the next iflink_address()
 */
const struct iflink_too_big *iflink_too_big(struct iflink *ifl);

/* Who hears of a packet, from its IP header on, that can't be delivered. */
struct iflink_unreachable {
	void (*fn)(void *arg, const uint8_t *packet, uint32_t len);
	void *arg;
};

/** iflink_resolved() - A neighbour was found, or doesn't answer: what waits for it is sent, or dropped, and that is told */
void iflink_resolved(struct iflink *ifl, const struct ctl_neighbour *said, const struct iflink_unreachable *tell);

/**
 * iflink_poll() - Before looking into the ring: have the kernel put in it what waits in the device, if that is ours to do
 *
 * It is while frames come fast and the program never sleeps: then it looks all the time anyway, and the processor of whoever sends
 * has less to do for it. vjd is told when it begins and ends (POLLING).
 */
void iflink_poll(struct iflink *ifl);

/**
 * iflink_flush() - Before sleep: have the kernel take what it hasn't yet, and drop what has waited too long
 * Return: may it be slept? false: the kernel takes or gives back frames in a moment, and doesn't say when.
 */
bool iflink_flush(struct iflink *ifl);

enum iflink_way {
	IFLINK_NO_WAY,
	IFLINK_PERHAPS, /* a way, but the kernel may take another one: rules of routing, several hops */
	IFLINK_WAY,
};

/**
 * iflink_leads_to() - Is this interface the way to @dst?
 * @ret_source: the address to send from; NULL: of no interest; untouched if there is no way
 */
enum iflink_way iflink_leads_to(const struct iflink *ifl, const struct ip_addr *dst, struct ip_addr *ret_source);

/** iflink_is_local() - Is @dst an address of this host? */
bool iflink_is_local(const struct iflink *ifl, const struct ip_addr *dst);

/** iflink_table_seq() - Changes whenever another way may be the right one */
uint64_t iflink_table_seq(const struct iflink *ifl);

/** iflink_take_table() - Of a new vjd, which has a table of its own. @fd is taken. Return: as iflink_open() */
int iflink_take_table(struct iflink *ifl, int fd);

#endif
