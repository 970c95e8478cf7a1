/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * packet.h - one control message with its descriptors, as sendmsg() and recvmsg() want it
 *
 * Pure: fills in and takes apart a struct msghdr. The system call between is the caller's, who may
 * live where libc's sendmsg() is interposed.
 */
#ifndef CONTROL_PACKET_H
#define CONTROL_PACKET_H

#include "control/msg.h"

#include <sys/socket.h>
#include <sys/uio.h>

/* The kernel may fill what CMSG_SPACE() rounds up: with an odd CTL_FDS_MAX this is one more */
enum { CTL_PACKET_FDS_ROOM = CTL_FDS_MAX + 1 };

/* Points into itself: don't move it between init and use. */
struct ctl_packet {
	struct msghdr hdr;
	struct iovec iov;
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(CTL_FDS_MAX * sizeof(int))];
	struct ctl_msg msg;
};

/**
 * ctl_packet_send() - Prepare for sendmsg(). @fd_cnt: 0..CTL_FDS_MAX; the descriptors stay the
 * caller's
 */
void ctl_packet_send(struct ctl_packet *p, const struct ctl_msg *msg, const int *fds,
		     unsigned fd_cnt);

/** ctl_packet_recv() - Prepare for recvmsg(), to be called with MSG_CMSG_CLOEXEC */
void ctl_packet_recv(struct ctl_packet *p);

/**
 * ctl_packet_check() - What recvmsg() has put in: well-formed?
 * @bytes:      recvmsg()'s return value, > 0
 * @ret_msg:    As ctl_check()
 * @ret_fds:    All descriptors that came, whatever the verdict: the caller's to close
 * @ret_fd_cnt: How many
 *
 * A packet cut short, or one that had more descriptors than there was room for, is malformed.
 * Return: CTL_REFUSAL_NONE or CTL_REFUSAL_MALFORMED
 */
enum ctl_refusal ctl_packet_check(struct ctl_packet *p, size_t bytes, enum ctl_from from,
				  struct ctl_msg *ret_msg, int ret_fds[static CTL_PACKET_FDS_ROOM],
				  unsigned *ret_fd_cnt);

#endif
