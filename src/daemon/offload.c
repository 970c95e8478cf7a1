// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/offload.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

int offload_set(int fd, uint32_t ifindex, uint32_t cmd, bool on)
{
	struct ethtool_value value = { .cmd = cmd, .data = on };
	struct ifreq ifr = { .ifr_ifindex = (int)ifindex };

	if (ioctl(fd, SIOCGIFNAME, &ifr) != 0)
		return -errno;
	ifr.ifr_data = (void *)&value;
	return ioctl(fd, SIOCETHTOOL, &ifr) == 0 ? 0 : -errno;
}
