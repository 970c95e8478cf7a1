/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * leaving.h - an interface is about to be detached (CTL_INTERFACE_LEAVING): what stands there becomes the kernel's
 *
 * From then on nothing is begun there. The layer above gives its connections tokens (deed.h), as if another process were to have them, and they become the
 * kernel's when the program is at rest, some in a turn, so that it goes on meanwhile; so do those that have tokens already, and those that the program has
 * closed and that have something to send still. Those that wait for accept() wait on: the program takes them, and then they go. When nothing is left, vjd is
 * told, and the link ends; what can't become the kernel's ends with it. How long that may take is vjd's to say.
 */
#ifndef LIB_LEAVING_H
#define LIB_LEAVING_H

#include "lib/priv.h"

/** leaving_set() - vjd says of @link, one at an interface, whether it is about to be detached */
void leaving_set(struct vj_link *link, bool leaving);

/** leaving_forget() - vjd is away: nothing can become the kernel's. The next one says it anew */
void leaving_forget(struct vj *vj);

/** leaving_go_on() - One turn, if it is time. The program is in no call on a connection: deed_let_go() */
void leaving_go_on(struct vj *vj);

#endif
