/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair.h - a connection of an application's, over an interface, becomes one of the kernel's (TO_KERNEL)
 *
 * The kernel is told where it stands (TCP_REPAIR, which wants CAP_NET_ADMIN). While that lasts a socket can be made to be any connection of
 * any port, so no program ever has one in that state: vjd makes the socket itself, as the program's user, and passes it on when it is what
 * was allowed, and nothing else any more.
 *
 * Frames: `flows` gives them to the application until the socket knows all; then the flow is marked as the kernel's (policy/maps.h). What
 * came in between is lost, and sent again. No frame meets a kernel without the socket, so none is answered with RST.
 *
 * FINs. One that we have sent counts as sent: the socket is shut down while it is in repair. (Sent anew it would have to wait until there is room
 * in the congestion window, and meanwhile all that the peer sends would acknowledge what the kernel has not sent, and be dropped.) What the peer
 * would not repeat, an acknowledgement of it and a FIN of its own, the socket is given in the peer's name, by a raw socket.
 */
#ifndef DAEMON_REPAIR_H
#define DAEMON_REPAIR_H

#include "control/msg.h"

/* What is to be done, and what it is done with; from the loop to a thread of fd_worker.h. */
struct repair_job {
	struct ctl_repair conn; /* checked: ctl_check() */
	uint32_t uid; /* of the application */
	int flows_fd; /* the map, at its interface */
};

/**
 * repair_make() - Make the socket
 * @queues_fd: A client's descriptor: a sealed memfd of @job->conn.rcv_bytes + snd_bytes, or it is refused
 * @ret_fd:    Connected; the caller's
 *
 * Thread rule: any, and several at a time; may block in the caller's place as long as memory is short.
 * Return: 0; -EINVAL: the descriptor isn't what it should be; negative errno of the kernel (EADDRNOTAVAIL: it has that connection,
 * ENETUNREACH: no way leads there, EPERM: vjd lacks the privilege). Then the application has the connection as before. -ECONNRESET: nobody
 * has it any more, and the peer was told.
 */
int repair_make(const struct repair_job *job, int queues_fd, int *ret_fd);

#endif
