/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_dump.h - all nftables rules of this network namespace, as netlink has them */
#ifndef DAEMON_FW_DUMP_H
#define DAEMON_FW_DUMP_H

#include "base/types.h"

/**
 * fw_dump() - For fw_raw_read()
 * @ret_bytes: the caller's to free(), @ret_len of them
 * Return: 0; -EINTR: rules changed meanwhile; other errno of netlink; -ENOMEM
 */
int fw_dump(uint8_t **ret_bytes, size_t *ret_len);

#endif
