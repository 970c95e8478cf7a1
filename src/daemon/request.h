/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request.h - what vjd does with a message
 *
 * The one entry from the transport into the daemon's state; fuzzed without sockets.
 */
#ifndef DAEMON_REQUEST_H
#define DAEMON_REQUEST_H

#include "control/packet.h"
#include "daemon/app.h"
#include "daemon/fd_worker.h"

/**
 * request_handle() - One packet from @app, which app_wants_read()
 * @verdict: of ctl_packet_check()
 * @msg:     valid if @verdict is CTL_REFUSAL_NONE
 * @fds:     all that came along, whatever the verdict; taken
 *
 * May leave any application in APP_LEAVING; frees none.
 */
void request_handle(struct app *app, enum ctl_refusal verdict, const struct ctl_msg *msg,
		    const int *fds, unsigned fd_cnt);

/** request_job_done() - A job of vjd_ops.submit() is done. Frees it. */
void request_job_done(struct vjd *d, struct fd_job *job);

/** request_user_job_done() - A job that @user was charged with is done: applications of his may be read again. May free @user */
void request_user_job_done(struct vjd *d, struct user *user);

/** request_refuse() - The late answer to a request of type @type */
void request_refuse(struct app *app, uint32_t type, uint32_t seq, enum ctl_refusal why);

#endif
