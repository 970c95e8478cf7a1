/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stopped.h - peers whose process is stopped, and calls that wait for them
 *
 * Who has been called, and stands still (SIGSTOP, a debugger), keeps nobody waiting whom another process with the same listening socket would take: the
 * calls are withdrawn (stack/tcp_withdraw.c), and end as refused ones do, so that who made them calls another. Whether a process stands still is no more
 * than a reason to do that; nothing is heard twice even if it goes on just then. One that is traced step by step (strace) is stopped at most looks, but
 * has run in between, and is left alone.
 *
 * Nobody looks while no call waits that others would take, or as long as there is nobody else. Then who isn't connected yet goes to the kernel, when he
 * has waited for a while (conn_withdraw() of connect.h): its queue takes him whether or not anybody runs. Who is connected has no need to.
 */
#ifndef LIB_STOPPED_H
#define LIB_STOPPED_H

#include "lib/priv.h"

/** stopped_watch() - A call begins, or has others to go to from now on: look in a while whether it waits for one that is stopped */
void stopped_watch(struct vj *vj);

/** stopped_poll() - The same, when vj->stopped_ns has come. Part of move_poll() */
void stopped_poll(struct vj *vj);

/** link_stands_still() - Is its process stopped, and was so at the look before? Makes system calls, but not on a link that was not found so */
bool link_stands_still(struct vj_link *link);

/** link_is_stopped() - Is its process stopped at the moment? Makes system calls */
bool link_is_stopped(struct vj_link *link);

/** stopped_alone() - Is its process stopped at the moment, and nobody else there who takes calls to @remote? Makes system calls, may ask vjd */
bool stopped_alone(struct vj *vj, struct vj_link *link, const struct endpoint *remote);

#endif
