// SPDX-License-Identifier: BSD-2-Clause
/*
 * The driver: plays small scripts on a packetdrill interface, the adapter's or the kernel's
 *
 * A play is a text, one event a line, each at so many seconds after the one before:
 *
 *	+0 socket 3 tcp			calls: name, script's descriptor, arguments, = result and errno (0 or more if not said)
 *	+0 connect 3 = -1 EINPROGRESS
 *	+0 > S 0:0(0) <mss 1460,...>	a packet leaves now, to the tolerance; window, options: only compared if given
 *	+.1 < S. 0:0(0) ack 1 win 65535 <mss 1460>	a packet comes in
 *	+0 &read 3 1000 = 1000 @.2	a call that blocks, made by a second thread, and how long it takes
 *	+0 info cwnd=10 state=1		members of TCP_INFO
 *	+0 < icmp frag 1400		an ICMP error about the first unacknowledged segment: frag MTU, port, host
 *	+0 > none			nothing has left, and does not until then
 *
 * What leaves and is not expected fails the play. Everything that has left by now is collected by an echo request: its
 * reply comes last. "ipv4" or "ipv6" as a line of its own: only for that family; else a play runs for both. "flags ...": as
 * --so_flags.
 */
#ifndef VJ_TESTS_PACKETDRILL_DRIVE_H
#define VJ_TESTS_PACKETDRILL_DRIVE_H

#include "tests/packetdrill/abi.h"

#include <stdbool.h>
#include <stdint.h>

#define DRIVE_PACKET_MAX 66000
#define DRIVE_LOCAL_PORT 8080
#define DRIVE_REMOTE_PORT 40123

/* Addresses, ports and initial sequence numbers of what the play is about */
struct drive_flow {
	bool v6;
	uint8_t local[16], remote[16];
	uint16_t lport, rport;
	uint32_t local_isn, remote_isn;
	bool isn_known;
	uint32_t ts_last; /* timestamp in the last packet that left */
	uint32_t una;	  /* sequence number of the last one with data, as it is on the wire */
};

/* drive_packet.c */

/* @text as above, from after the "<". Return: length of the IP packet; 0: bad text. */
size_t drive_build(struct drive_flow *flow, const char *text, uint8_t *packet);
size_t drive_build_echo(const struct drive_flow *flow, uint16_t seq, uint8_t *packet);
/* Is it the answer to that? */
bool drive_is_echo(const uint8_t *packet, size_t len, uint16_t seq);
/* As a line of a play would have it. Learns the flow's numbers from a SYN. */
void drive_format(struct drive_flow *flow, const uint8_t *packet, size_t len, char *text, size_t room);
/* Does what drive_format() said fit what the play wants? */
bool drive_match(const char *want, const char *have);

/* drive_kernel.c: the same interface to the kernel: a TUN device in a network namespace of its own */
int drive_kernel_init(struct packetdrill_interface *ret_table, const struct drive_flow *v4, const struct drive_flow *v6);

#endif
