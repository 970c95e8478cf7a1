/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * status.h - answering STATUS
 *
 * One message for each application the asker may see, after each its leases and the channels whose
 * end 0 it holds, at last the daemon itself. Root sees all, others what is of their own uid. The
 * answer may be long, so it isn't stored: a cursor (struct status_cursor) remembers the last id
 * told, and goes on when the socket has room. What comes or goes meanwhile is told or not.
 */
#ifndef DAEMON_STATUS_H
#define DAEMON_STATUS_H

#include "daemon/app.h"

/** status_begin() - Serve a STATUS; or if @macs a MACS, in the same way */
void status_begin(struct app *app, uint32_t seq, bool macs);

/** status_may_see() - May @viewer know about @app? */
bool status_may_see(const struct app *viewer, const struct app *app);

/** status_continue() - Send on until done or the socket is full */
void status_continue(struct app *app);

#endif
