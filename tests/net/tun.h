// SPDX-License-Identifier: BSD-2-Clause
/*
 * The kernel's TCP at an end of a simulated wire (tests/sim/two_stacks.h): a TUN device in a
 * network namespace of this process, and time that is real
 *
 * Nothing outside of the namespace is touched, and it is gone with the process.
 */
#ifndef VJ_TESTS_NET_TUN_H
#define VJ_TESTS_NET_TUN_H

#include "tests/sim/two_stacks.h"

struct tun {
	int fd;
	unsigned int side; /* of the wire; its host is 1 + side in 10.0.0.0/24 and 2001:db8::/64 */
	struct outside outside;
	uint64_t dropped; /* packets that the device did not take */
};

/*
 * Make a new network namespace, move into it (sockets made from now on are there), and make a
 * device in it. Return: NULL, or what this machine does not allow; errno says why.
 */
const char *tun_open(struct tun *tun, unsigned int side);

/* As far as real time has come: what the kernel sends goes on the wire, what has arrived comes out.
 * Then wait for the next of both, or for one of @fds (-1: none), at most 10 ms. */
void tun_pump(struct two_stacks *sim, struct tun *const tuns[2], const int fds[2]);

/* Monotonic, in the time of @sim: call once before the first tun_pump(). */
void tun_start(const struct two_stacks *sim);

/* A socket of the kernel's, with CUBIC, not blocking, bound to @port (0: any) of host 1 + @side */
int tun_socket(unsigned int side, bool v6, uint16_t port);
/* A datagram socket, likewise */
int tun_udp_socket(unsigned int side, bool v6, uint16_t port);
void tun_socket_connect(int fd, unsigned int side, bool v6, uint16_t port);

#endif
