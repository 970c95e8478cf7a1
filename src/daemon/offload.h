/* SPDX-License-Identifier: BSD-2-Clause */
/* offload.h - switching what a device does in place of the kernel (ethtool's ioctl) */
#ifndef DAEMON_OFFLOAD_H
#define DAEMON_OFFLOAD_H

#include "base/types.h"

/**
 * offload_set() - Switch one of device @ifindex
 * @fd:  any socket made in the device's network namespace
 * @cmd: ETHTOOL_SGRO and so on
 * Return: 0; -ENODEV; -EOPNOTSUPP
 */
int offload_set(int fd, uint32_t ifindex, uint32_t cmd, bool on);

#endif
