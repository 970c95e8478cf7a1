// SPDX-License-Identifier: BSD-2-Clause
/*
 * doctor_csum.c - vj doctor: do frames come in whose checksums nobody has filled in?
 *
 * Behind a veth, and some virtual cards, sits a kernel that leaves checksums to a device that doesn't compute them,
 * because the kernel at the other end knows and doesn't look. A program that reads the frame itself sees damage. A packet
 * socket is told of it (PACKET_AUXDATA, TP_STATUS_CSUMNOTREADY in packet(7)); frames that go to channels it doesn't see,
 * but their sender's others.
 */
#include "cli/doctor.h"

#include "base/time.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 1000 };

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Return: 1: a frame with a checksum to be filled in; 0: another one that came in; -1: none, or one that went out */
static int look_at_one(int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	struct tpacket_auxdata aux;
	struct sockaddr_ll from;
	char data[64];
	struct iovec iov = { .iov_base = data, .iov_len = sizeof(data) };
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;

	if (recvmsg(fd, &msg, MSG_DONTWAIT) < 0 || from.sll_pkttype == PACKET_OUTGOING)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c == NULL || c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA)
		return 0;
	memcpy(&aux, CMSG_DATA(c), sizeof(aux));
	return (aux.tp_status & TP_STATUS_CSUMNOTREADY) != 0;
}

/* Return: -1: errno says why not */
static int open_tap(uint32_t ifindex)
{
	struct sockaddr_ll name = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)ifindex,
	};
	int one = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)) == 0 &&
	    bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
		return fd;
	close(fd);
	return -1;
}

void doctor_checksums(const char *name, uint32_t ifindex)
{
	struct pollfd pfd = { .fd = open_tap(ifindex), .events = POLLIN };
	int64_t until_ms = now_ms() + LOOK_MS, left_ms;
	unsigned seen = 0, unfilled = 0;

	if (pfd.fd < 0) {
		doctor_say(FINDING_NOTE, name, NULL, "what comes in was not looked at: %s", strerror(errno));
		return;
	}
	while ((left_ms = until_ms - now_ms()) > 0 && poll(&pfd, 1, (int)left_ms) > 0) {
		int r = look_at_one(pfd.fd);

		seen += r >= 0;
		unfilled += r > 0;
	}
	close(pfd.fd);
	if (unfilled > 0)
		doctor_say(FINDING_BAD, name, "ethtool -K DEVICE tx off, at the sender's end of this link",
			   "%u of %u frames in a second came with checksums that their sender has not filled in: channels drop them",
			   unfilled, seen);
	else if (seen > 0)
		doctor_say(FINDING_OK, name, NULL, "%u frames in a second came with their checksums", seen);
	else
		doctor_say(FINDING_NOTE, name, NULL, "no frame came in a second: whether senders fill in checksums can't be told");
}
