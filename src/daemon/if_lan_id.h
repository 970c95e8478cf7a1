/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_lan_id.h - who this host is on the LAN: an id that stays the same, and a number of starts that grows
 */
#ifndef DAEMON_IF_LAN_ID_H
#define DAEMON_IF_LAN_ID_H

#include "daemon/vjd.h"
#include "wire/parp.h"

/**
 * if_lan_id() - As it stands in @dir, one start later; a new one where none can be read
 * @fresh: an id to begin with, random
 * Return: 0; -EIO and others: it could not be written, and @ret_* are good until the end of this vjd
 */
int if_lan_id(const char *dir, const struct parp_host_id *fresh, struct parp_host_id *ret_id, uint32_t *ret_starts);

/** if_lan_id_forget() - Nothing is claimed any more: the next vjd may be somebody else */
void if_lan_id_forget(const char *dir);

/** if_lan_is_wireless() - A station of a wireless network: access points know it by one MAC address */
bool if_lan_is_wireless(const char *name, uint32_t ifindex);

#endif
