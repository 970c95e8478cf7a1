/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_name.h - names of the devices that vjd makes for channels
 *
 * The host's end of a pair stands in its own namespace. It has no address and no route, so the host table leaves it out: there would be
 * an entry for each application, and each application's start and end a change of the table.
 */
#ifndef DAEMON_IF_NAME_H
#define DAEMON_IF_NAME_H

#include "base/types.h"

#include <string.h>

#define IF_NAME_HOST "vjh" /* and the number of the channel */
#define IF_NAME_APP "vja"

/** if_name_is_ours() - Of a host's end */
static inline bool if_name_is_ours(const char *name)
{
	size_t len = sizeof(IF_NAME_HOST) - 1;

	return strncmp(name, IF_NAME_HOST, len) == 0 && name[len] != '\0' && name[len + strspn(name + len, "0123456789")] == '\0';
}

#endif
