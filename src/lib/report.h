/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - an application tells about itself: REPORT of the control protocol
 *
 *	vj (asks)                     vjd                        application
 *	  REPORT app 7, conns ────────►
 *	  ◄──── REPORTING, socket A     REPORT_WANTED, socket B ────►
 *	                                                  snapshot into a memfd, sealed
 *	  A ◄──────────────── REPORTED, memfd ───────────────────── B
 *
 * The asked never waits: what the socket does not take at once is not said. It keeps nothing for the asker, and
 * takes one snapshot for each question that vjd lets through. The asker believes nothing: the memfd must be sealed and of the
 * size that REPORTED says, and records are copied out with pread(), so a file that is cut short is an error and no signal.
 */
#ifndef LIB_REPORT_H
#define LIB_REPORT_H

#include "control/msg.h"

#include <vj/vj.h>

struct vj;

/* CTL_REPORT_CONNS: one TCP connection. The struct of a later version is longer. */
struct report_conn {
	struct ctl_endpoint local, remote;
	struct vj_conn_info info; /* sz: as the application knows it */
};

/**
 * report_answer() - Answer a REPORT_WANTED
 * @fd: The event's socket; stays the caller's
 *
 * Makes system calls, does not block. What cannot be told (no memory, no descriptors, unknown kind) is not told:
 * the asker sees the socket end.
 */
void report_answer(struct vj *vj, int fd, uint32_t kind);

/**
 * report_recv() - Take the answer
 * @fd:            Of ctl_client_report(); stays the caller's
 * @kind, @bytes:  What was asked for, and the size of a record as the caller knows it
 * @timeout_ms:    Longest wait
 * @ret_records:   @ret_cnt records of @bytes, cut or filled up with zeros; the caller's to free()
 * @ret_left_out:  How many were not told
 *
 * Blocks. Return: 0; -ETIMEDOUT: it runs, but does not come to it; -ENODATA: it hung up, or does not know that kind; -EPROTO: it talks
 * nonsense; -ENOMEM, -EMFILE.
 */
int report_recv(int fd, uint32_t kind, size_t bytes, int timeout_ms, void **ret_records, uint32_t *ret_cnt,
		uint64_t *ret_left_out);

#endif
