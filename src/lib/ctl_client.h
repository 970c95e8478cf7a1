/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ctl_client.h - the application's side of the control socket
 *
 * One connection to vjd. Requests are answered in order, so a call sends one and reads until its
 * reply is there; events that arrive in between are kept and handed out by ctl_client_event(),
 * which never blocks.
 *
 * Thread rule: one thread at a time (the caller serialises). Lives inside the preload: raw system
 * calls only. The descriptors that vjd passes are checked here: an area is a sealed memfd of the
 * size that its parameters make, the other two are eventfds. What fails is closed, and the
 * connection with it (-EPROTO).
 */
#ifndef LIB_CTL_CLIENT_H
#define LIB_CTL_CLIENT_H

#include "control/msg.h"
#include "control/path.h"

struct ctl_client;

enum { CTL_CLIENT_TIMEOUT_MS = 2000, CTL_CLIENT_WHY_BYTES = 256 };

/* What kept us from a vjd */
struct ctl_client_failure {
	char why[CTL_CLIENT_WHY_BYTES]; /* in words */
	char path[CTL_PATH_BYTES];	/* of the socket that it is about; "": none */
};

/**
 * ctl_client_open() - Find vjd, connect, say HELLO
 * @path:       Of the socket; NULL: the search order of control/path.h, with this process's
 *              environment
 * @name:       Program name for people; copied; NULL allowed
 * @flags:      CTL_HELLO_*
 * @ret_client: New client; ctl_client_close() it
 *
 * Blocks up to CTL_CLIENT_TIMEOUT_MS. Searching, a path that nobody listens at, or whose vjd this user or this version has no use of, is passed over.
 * Return: 0; -ENOENT: no socket at any path; -ECONNREFUSED: a socket, but no vjd behind it, or one
 * that is just leaving;
 * -EPROTO: vjd speaks another control version, or no sense; -EACCES: this user may not connect, or
 * another user listens where only this one's vjd may; -EUSERS: too many applications; -ETIMEDOUT;
 * -ENAMETOOLONG: path too long;
 * -ENOMEM, -EMFILE, -ENFILE.
 */
int ctl_client_open(const char *path, const char *name, uint32_t flags,
		    struct ctl_client **ret_client);

/** What the caller has to do anyway: done once, after HELLO was sent, and before the answer is waited for */
struct ctl_meanwhile {
	void (*run)(void *arg);
	void *arg;
};

/**
 * ctl_client_open_within() - ctl_client_open() that waits for @timeout_ms at most at each path; later calls wait as after that
 * @meanwhile:   Has run on success; on an error it may have, or not. NULL: nothing
 * @ret_failure: What went wrong, "" on success; NULL allowed
 */
int ctl_client_open_within(const char *path, const char *name, uint32_t flags, int timeout_ms, const struct ctl_meanwhile *meanwhile,
			   struct ctl_client **ret_client, struct ctl_client_failure *ret_failure);

/**
 * ctl_client_look() - Is there a vjd for a program of this user, and where? vjd stays for one at least as long as it does after its start
 * Asks it, and waits for the answer as ctl_client_open_within() does; ctl_look() doesn't.
 * @ret_path: of its socket
 * Return: 0; negative errno, as ctl_client_open()
 */
int ctl_client_look(const char *path, const char *name, int timeout_ms, char ret_path[static CTL_PATH_BYTES], struct ctl_client_failure *ret_failure);

/**
 * ctl_client_open_why() - ctl_client_open() that also says in words what went wrong
 * @ret_why: CTL_CLIENT_WHY_BYTES; "" on success. E.g. "library 0.1.0 speaks control version 1, vjd
 *           0.2.0 version 2"
 */
int ctl_client_open_why(const char *path, const char *name, uint32_t flags,
			struct ctl_client **ret_client, char ret_why[static CTL_CLIENT_WHY_BYTES]);

/**
 * ctl_client_close() - Hang up: vjd releases everything. Events not yet fetched are dropped with
 * their descriptors. NULL allowed.
 */
void ctl_client_close(struct ctl_client *client);

/**
 * ctl_client_forget() - In a child after fork(): free and close here, the parent's connection
 * stays. NULL allowed.
 */
void ctl_client_forget(struct ctl_client *client);

/**
 * ctl_client_fd() - The socket: readable when ctl_client_event() has something, or vjd is gone
 *
 * For poll and epoll only. Edge-triggered watchers: a call also reads, so after every call, fetch
 * events until 0.
 */
int ctl_client_fd(const struct ctl_client *client);

/** ctl_client_welcome() - What vjd said first; valid as long as the client */
const struct ctl_welcome *ctl_client_welcome(const struct ctl_client *client);

/** ctl_client_path() - Path of the socket that answered */
const char *ctl_client_path(const struct ctl_client *client);

/** ctl_client_timeout_set() - How long each later call waits, in ms; > 0 */
void ctl_client_timeout_set(struct ctl_client *client, int timeout_ms);

/** ctl_client_is_owed() - Has a call ended with -ETIMEDOUT, and its reply has not come yet? */
bool ctl_client_is_owed(const struct ctl_client *client);
/** ctl_client_is_unsaid() - Is there a RELEASE that vjd has had no room for? */
bool ctl_client_is_unsaid(const struct ctl_client *client);
/** ctl_client_is_behind() - The same, but for INTERFACE: nothing else is answered before that either */
bool ctl_client_is_behind(const struct ctl_client *client);

/**
 * ctl_client_call() - Send a request, wait for its reply
 * @req:       @seq is chosen here
 * @req_fd:    Descriptor that goes along (CTL_LEASE), or -1; stays the caller's
 * @ret_reply: The reply; also filled, with the REFUSED, when vjd refuses
 * @ret_fds:   Descriptors of the reply, the caller's from now on, or -1 each
 *
 * A reply that comes after its call timed out is undone (channel closed, lease released) and
 * dropped; but HELD is an event then. As long as one is owed vjd is stopped, or behind: nothing is asked and nobody waits, -ETIMEDOUT at once; but
 * RELEASE is sent, or kept until vjd has room for it, which any later call here looks for. Others than INTERFACE, that is, which takes vjd long, and beside which it answers.
 * Return: 0; the errno of the refusal (ctl_refusal_errno(), negative; see @ret_reply); -ETIMEDOUT;
 * -ENOTCONN: vjd is gone, this and every later call fails; -EPROTO: vjd talks nonsense, the
 * connection is closed; -EMFILE.
 */
int ctl_client_call(struct ctl_client *client, struct ctl_msg *req, int req_fd,
		    struct ctl_msg *ret_reply, int ret_fds[static CTL_FDS_MAX]);

/**
 * ctl_client_event() - Next event, without waiting
 * @ret_msg: CHANNEL, PEER_GONE, LEASE_GONE, INTERFACE_NEWS, RESOLVED, REPORT_WANTED or HANDED; HELD if it came late
 * @ret_fds: The caller's from now on, or -1 each
 * Return: 1: one event; 0: none now; -ENOTCONN: vjd is gone; -EPROTO: as ctl_client_call()
 */
int ctl_client_event(struct ctl_client *client, struct ctl_msg *ret_msg,
		     int ret_fds[static CTL_FDS_MAX]);

/** ctl_client_is_idle() - Is there nothing for ctl_client_event() to do unless ctl_client_fd() is readable? No system call. */
bool ctl_client_is_idle(const struct ctl_client *client);

/* The requests, wrapped. Each returns as ctl_client_call(). */

/**
 * ctl_client_lease() - Lease @local, proved by the bound socket @fd (CTL_PROTO_RAW: any
 * descriptor).
 */
int ctl_client_lease(struct ctl_client *client, const struct ctl_endpoint *local, uint32_t flags,
		     int fd, uint32_t *ret_id);

/**
 * ctl_client_to_kernel() - Have a connection made one of the kernel's
 * @queues_fd: a sealed memfd, as struct ctl_repair wants it; stays the caller's
 * @ret_fd:    its socket; own_fd()
 */
int ctl_client_to_kernel(struct ctl_client *client, const struct ctl_repair *conn, int queues_fd, int *ret_fd);

int ctl_client_release(struct ctl_client *client, uint32_t lease_id);

/** ctl_client_ports() - Lease ephemeral ports. @first: 0, or a block held from an earlier vjd. */
int ctl_client_ports(struct ctl_client *client, enum ctl_proto proto, uint16_t first, uint16_t cnt,
		     uint16_t *ret_first, uint16_t *ret_cnt);

/**
 * ctl_client_connect_flow() - @ret_fds are -1 if the two applications share the channel already.
 * @flow: chooses if @ret_channel->owners is more than one
 * @ports: so many ephemeral ones are to come with it, as by ctl_client_ports(): @ret_channel->ports_first, perhaps fewer or none; 0
 */
int ctl_client_connect_flow(struct ctl_client *client, const struct ctl_endpoint *remote, uint32_t flow, uint16_t ports,
			    struct ctl_channel *ret_channel, int ret_fds[static CTL_FDS_MAX]);

/** ctl_client_connect() - To the first owner, if there are several */
static inline int ctl_client_connect(struct ctl_client *client, const struct ctl_endpoint *remote,
				     struct ctl_channel *ret_channel, int ret_fds[static CTL_FDS_MAX])
{
	return ctl_client_connect_flow(client, remote, 0, 0, ret_channel, ret_fds);
}

/**
 * ctl_client_join() - A channel to another application of this user, whatever it listens to
 * @app_id: its number at vjd; @pid: its process, by which it is found if vjd was restarted meanwhile
 * @ret_fds: as of ctl_client_connect_flow()
 * Return: -ESRCH: there is none
 */
int ctl_client_join(struct ctl_client *client, uint32_t app_id, int32_t pid, struct ctl_channel *ret_channel,
		    int ret_fds[static CTL_FDS_MAX]);

/**
 * ctl_client_offer() - Give a descriptor to another application that owns @local, too; @fd stays the caller's
 * @flow: chooses, as in CONNECT. Return: -EHOSTUNREACH: there is none; -EAGAIN: it is hung
 */
int ctl_client_offer(struct ctl_client *client, const struct ctl_endpoint *local, uint32_t flow, int fd);

/**
 * ctl_client_pass() - Give another application of this user a descriptor; @fd stays the caller's
 * @ret_app_id: who has it; may be NULL. Return: -ESRCH; -EAGAIN: it is hung
 */
int ctl_client_pass(struct ctl_client *client, uint32_t app_id, int32_t pid, int fd, uint32_t *ret_app_id);

/**
 * ctl_client_hold() - State to a new vjd what an earlier one said in CONNECTED or CHANNEL
 * @ret_channel: its number at this vjd, and what that knows of the peer
 * Return: -ENOENT: the other end is gone
 */
int ctl_client_hold(struct ctl_client *client, const struct ctl_channel *channel,
		    struct ctl_channel *ret_channel);

/**
 * ctl_client_firewall() - Root's: have vjd show the host's rules
 * @flags:  CTL_FIREWALL_*
 * @ret_fd: a pipe with text up to its end, the caller's; empty if the rules could not be read
 * Return: -EPERM: not root, or rules are not this vjd's to see; -EAGAIN: it shows them to several others
 */
int ctl_client_firewall(struct ctl_client *client, uint32_t flags, int *ret_fd);

/**
 * ctl_client_report() - Ask an application about itself
 * @kind:   enum report_kind
 * @ret_fd: Socket on which report_recv() finds the answer; the caller's
 * Return: -ESRCH: no such application of this user; -EAGAIN: it does not read its control socket
 */
int ctl_client_report(struct ctl_client *client, uint32_t app_id, uint32_t kind, int *ret_fd);

/**
 * ctl_client_channel_close() - Tell vjd; no reply. Return: 0; -ENOTCONN; -ETIMEDOUT: vjd doesn't
 * read.
 */
int ctl_client_channel_close(struct ctl_client *client, uint32_t channel_id,
			     enum vj_channel_error reason);

/**
 * ctl_client_interface() - A channel of one's own at an interface
 * @key:     Zero: a new one; else what an earlier vjd gave with the one that this application holds
 * @ret_fds: In the order of CTL_FD_HOST; for one that is held only that one, the rest -1
 * Return: -EACCES: policy; -ENODEV: not attached any more, or in another network namespace; -ENOENT: the one held is gone; -EOPNOTSUPP;
 * -ENOMEM: quota, or none left
 */
int ctl_client_interface(struct ctl_client *client, uint32_t ifindex, const uint8_t key[static 16],
			 struct ctl_interface *ret_interface, int ret_fds[static CTL_FDS_MAX]);

/** ctl_client_brief() - This program ends after very little; no reply. @parent: see struct ctl_brief. Return: as ctl_client_channel_close() */
int ctl_client_brief(struct ctl_client *client, int32_t parent);

/** ctl_client_polling() - We poll for the frames of our channel there, or no more; no reply. Return: 0; -ENOTCONN; -ETIMEDOUT */
int ctl_client_polling(struct ctl_client *client, uint32_t ifindex, bool on);

/** ctl_client_left() - Our channel there may end, with @ended connections that have not become the kernel's; no reply. Return: as ctl_client_channel_close() */
int ctl_client_left(struct ctl_client *client, uint32_t ifindex, uint32_t ended);

/** ctl_client_resolve() - Have the kernel find a neighbour; RESOLVED comes later. Return: as ctl_client_channel_close() */
int ctl_client_resolve(struct ctl_client *client, uint32_t ifindex, const struct ip_addr *addr);

enum ctl_client_attach {
	CTL_CLIENT_DETACH,
	CTL_CLIENT_ATTACH,
	CTL_CLIENT_ATTACH_TC,
	CTL_CLIENT_DETACH_GATEWAY,
	CTL_CLIENT_ATTACH_GATEWAY,
};

/**
 * ctl_client_attach() - Have vjd offer channels at interface @name, or no longer
 * @prefix: of addresses for applications there, one that ctl_prefix_fault() has nothing against; NULL: none, or as it is
 * Return: -EPERM: not root; -ENODEV; -EMEDIUMTYPE: no Ethernet; -EBUSY: no place is left at which frames could be taken; -EOPNOTSUPP;
 * -EALREADY: another vjd has this network namespace; -EUCLEAN: others could replace its pins;
 * -EEXIST: there is another prefix, or this one is at another interface; -EINVAL: no such prefix
 */
int ctl_client_attach(struct ctl_client *client, const char *name, enum ctl_client_attach how,
		      const struct ip_prefix *prefix, struct ctl_interface *ret_interface);

/** ctl_client_macs() - MAC addresses that are claimed and learned. @fn: called for each; must not call the client */
int ctl_client_macs(struct ctl_client *client, void (*fn)(void *arg, const struct ctl_mac *mac), void *arg);

/**
 * ctl_client_ask() - Which MAC address has this endpoint of another host?
 * Takes up to 3 seconds, more than a call waits by default: see ctl_client_timeout_set()
 * Return: -ENODEV: no attached interface leads there
 */
int ctl_client_ask(struct ctl_client *client, const struct endpoint *ep, enum ctl_proto proto, struct ctl_mac *ret_mac);

/**
 * ctl_client_status() - Everything this user may see
 * @fn:      Called for each STATUS_APP, STATUS_LEASE, STATUS_CHANNEL, STATUS_INTERFACE and STATUS_COUNTER, and at
 *           last STATUS_END; must not call the client
 */
int ctl_client_status(struct ctl_client *client, void (*fn)(void *arg, const struct ctl_msg *msg),
		      void *arg);

#endif
