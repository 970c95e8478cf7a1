/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sysctl.h - what the administrator has set for TCP, net.ipv4.tcp_*, as the stack's settings
 *
 * Looked at once, when the first channel at an interface is opened: what is set there is about paths that lose, and a direct channel
 * is none. Both address families go by it, as in Linux. It is the network namespace of the program that counts.
 */
#ifndef LIB_SYSCTL_H
#define LIB_SYSCTL_H

#include "stack/stack.h"

/**
 * sysctl_read() - Take over what can be read
 * @dir: Where the files tcp_* are: SYSCTL_DIR
 * @set: What can't be read, or isn't known here (a congestion control that we haven't got), is left as it is
 *
 * tcp_mtu_probing = 0 counts as not set: it is what a kernel is born with, and the stack's own default looks for black holes
 * (enum stack_mtu_probe). Who wants that off says so in struct vj_options or VJ_MTU_PROBING.
 *
 * Makes three system calls for each file; returns no error: there may be no /proc, or no right to look into it.
 */
void sysctl_read(const char *dir, struct tcp_settings *set);

/* ---- sysctl_set.c: one by one ---- */

/** sysctl_name() - Those that can be taken over, without "tcp_"; NULL past the last */
const char *sysctl_name(unsigned i);

/**
 * sysctl_set() - One of them
 * @i:     That of sysctl_name()
 * @value: What its file says, without the newline. What makes no sense changes nothing
 */
void sysctl_set(struct tcp_settings *set, unsigned i, const char *value);

#define SYSCTL_DIR "/proc/sys/net/ipv4"

#endif
