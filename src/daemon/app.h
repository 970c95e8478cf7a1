/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * app.h - an application, as vjd knows it: one control connection
 *
 * Messages to an application go out at once or, when its socket is full, wait in a queue. An
 * application with a queue isn't read and isn't offered channels (PEER_BUSY), so what can collect
 * is one reply, a PEER_GONE for each channel it has, and LEASE_GONEs; of those, what doesn't fit in
 * APP_QUEUE_MAX is left out, since a route that leads nowhere is found out by using it.
 */
#ifndef DAEMON_APP_H
#define DAEMON_APP_H

#include "control/msg.h"
#include "daemon/vjd.h"

#include <sys/queue.h>

enum app_state {
	APP_STRANGER, /* connected, no HELLO yet; @user, @uid, @pid valid */
	APP_WELCOME,  /* said HELLO: everything valid */
	APP_LEAVING, /* the transport closes it, after one more try to send what is queued */
	APP_GONE,    /* app_gone() was called: holds nothing, is in no list */
};

/* What LEASE_GONE may fill of an application's queue. PEER_GONE goes beyond: bounded by channels_max. */
enum { APP_QUEUE_MAX = 512 };

/* One end of a channel in its application's list. */
struct channel_end {
	TAILQ_ENTRY(channel_end) of_app;
	struct channel *channel;
	uint8_t nr; /* 0 or 1 */
};
TAILQ_HEAD(channel_end_list, channel_end);

/*
 * Where a STATUS reply stands. Objects are sent by ascending id, so that some may come and go
 * meanwhile.
 */
struct status_cursor {
	bool active;
	uint32_t seq;
	uint32_t app_id; /* being told; those below are done */
	bool app_told;
	uint32_t lease_id;   /* of @app_id: those up to it are done */
	uint32_t channel_id; /* likewise */
	uint32_t interface_pos; /* after the applications: see interfaces_status() */
	bool macs; /* MACS is served, and nothing of the above: interfaces_macs() */
	uint64_t macs_pos;
};

struct app {
	TAILQ_ENTRY(app) all; /* vjd.strangers or vjd.apps */
	struct vjd *d;
	enum app_state state;
	struct user *user;
	uint32_t uid;
	int32_t pid;
	int32_t said_pid; /* as the process itself knows it, in another pid namespace perhaps; nothing but a name */
	uint64_t netns;
	uint64_t since_ns; /* connected; from HELLO on: welcome */

	uint32_t id;
	bool observer;
	uint8_t mac[6];
	char name[CTL_NAME_MAX];

	struct bucket bucket;
	uint64_t asked_ns; /* last REPORT about it; 0: none */
	uint64_t ran_ns; /* when its process was last seen not to be stopped; 0: never looked */
	struct lease_list leases;
	uint32_t lease_cnt;
	struct channel_end_list channels;
	uint32_t channel_cnt; /* ends */
	uint64_t memory_bytes;
	struct port_set ports;
	uint64_t mark;

	struct fd_job *job; /* under way; the next request waits for it */
	bool asking; /* likewise: an ASK, or a DETACH */
	struct if_work *opening; /* likewise: an INTERFACE; NULL: none */
	struct status_cursor status;

	struct ctl_msg *queue; /* ring of @queue_room */
	uint32_t queue_first, queue_cnt, queue_room;
};

/** struct app_cred - what the kernel says about who connected */
struct app_cred {
	uint32_t uid;
	int32_t pid;
	uint64_t netns;
};

/**
 * app_init() - Somebody connected
 * @app: The transport's, stays valid until app_gone()
 * Return: 0; -ENOMEM; -EUSERS: that user has too many connections; -EACCES: vjd is another user's
 * private one
 */
int app_init(struct vjd *d, struct app *app, const struct app_cred *cred);

/** app_welcome() - It said HELLO: give it an id and a MAC */
void app_welcome(struct app *app, const struct ctl_hello *hello);

/** app_gone() - It hung up or died: release all it has, tell the peers */
void app_gone(struct app *app);

/** app_leave() - Have it closed: it broke the protocol. */
void app_leave(struct app *app);

/** app_post() - Send what must arrive, now or later, before anything posted after it */
void app_post(struct app *app, const struct ctl_msg *msg);

/**
 * app_send() - Send now or not at all, with descriptors. Return: 0; -EAGAIN: it doesn't keep up;
 * others: failed
 */
int app_send(struct app *app, const struct ctl_msg *msg, const int *fds, unsigned fd_cnt);

/** app_flush() - The socket has room: send on. */
void app_flush(struct app *app);

/** app_wants_read() - May the transport read its next message? */
bool app_wants_read(const struct app *app);

/** app_wants_write() - Does anything wait for room in the socket? */
bool app_wants_write(const struct app *app);

/** app_find() - An application of the same user: of this number and process, or else any of this process. NULL: none */
struct app *app_find(const struct app *asker, const struct ctl_join *who);

/** app_mark_begin() - Start a walk in which each application is to be met once */
void app_mark_begin(struct vjd *d);

/** app_mark() - Return: true the first time in this walk */
bool app_mark(struct app *app);

/** app_stranger_deadline_ns() - When the longest silent connection is to be closed; TIME_NEVER */
uint64_t app_stranger_deadline_ns(const struct vjd *d);

/** app_expire_strangers() - Close who didn't say HELLO in time */
void app_expire_strangers(struct vjd *d);

#endif
