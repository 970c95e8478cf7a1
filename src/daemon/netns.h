/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * netns.h - the network namespace of vjchan's own, where the application ends of channels live
 *
 * Nothing is configured in it: no address, no route, no IPv6. So no protocol of the kernel answers what is passed on there, and
 * an application's socket, whatever it is told, reaches no other device.
 *
 * It is kept by a bind mount beside vjd's socket, so that it outlives vjd.
 */
#ifndef DAEMON_NETNS_H
#define DAEMON_NETNS_H

/**
 * netns_open() - Find the namespace kept at @path, or make it
 * Return: a descriptor of it; -EPERM and others: can't be made
 */
int netns_open(const char *path);

/** netns_forget() - Don't keep it at @path any longer; it goes with the last device's socket */
void netns_forget(const char *path);

/**
 * netns_do() - Run @fn in namespace @fd, on this thread
 * Sockets that @fn makes stay there. Return: what @fn returned; negative errno of setns(2)
 */
int netns_do(int fd, int (*fn)(void *arg), void *arg);

#endif
