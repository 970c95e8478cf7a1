/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vjd.h - the daemon's state
 *
 * Theory of operation
 *
 * vjd is a book-keeper: who is there (app.h), who holds which port (lease.h, port_block.h), who
 * shares a channel with whom (channel_maker.h; channel_half.h after a restart), and how much of each
 * (quota.h). It makes channels and is never on the path of a packet.
 *
 * One thread runs an epoll loop (server.h) and owns all of this state. It never waits for a client:
 * what can't be sent now is queued, a client whose queue isn't empty isn't read, and a queue can't
 * outgrow what the quotas allow. The only other threads (fd_worker.h) touch descriptors that came
 * from clients, because those can make even close() hang.
 *
 * Everything between the sockets and this state goes through struct vjd_ops, so that tests and
 * fuzzers run the same code without sockets: request_handle() takes a message, app_*() send some.
 *
 * Order on one control socket: replies in the order of the requests. While a reply is waited for (a
 * port being proved) or not sent yet, the next request of that client isn't read.
 */
#ifndef DAEMON_VJD_H
#define DAEMON_VJD_H

#include "base/log.h"
#include "base/types.h"
#include "control/msg.h"
#include "daemon/channel_half.h"
#include "daemon/lease.h"
#include "daemon/policy_conf.h"
#include "daemon/port_block.h"
#include "daemon/quota.h"

#include <sys/queue.h>

struct app;
struct fd_job;
struct firewall;
struct interfaces;
struct notice_board;
struct parp_keys;
struct vjd;

struct vjd_limits {
	uint32_t apps_max;     /* of one user */
	uint32_t leases_max;   /* of one application */
	uint32_t channels_max; /* of one application */
	uint32_t rate_max;     /* requests a second of one application */
	uint64_t memory_max;   /* channel memory of one user, bytes */
};

/* Of port-aware ARP, at every interface. */
struct vjd_lan_config {
	bool off;
	bool e2;       /* frames of an EtherType of their own; else ARP's */
	bool rfc;      /* times of RFC 5227; else a twentieth of them */
	uint32_t pool; /* addresses claimed ahead */
	const struct parp_keys *keys; /* NULL: nothing is authenticated; lives as long as vjd */
};

struct vjd_gateway_config {
	uint32_t entry_max; /* ports remembered */
	uint32_t rate;	    /* questions a second; 0: as vjd's own */
};

struct vjd_config {
	struct vjd_limits limits;
	struct vj_area_params area;
	bool private_mode;
	const char *path; /* of the control socket, for people; NULL: there is none */
	uint32_t uid;	/* of vjd itself */
	struct vjd_lan_config lan;
	struct vjd_gateway_config gateway;
	uint64_t netns; /* cookie of vjd's own network namespace */
	const struct log_sink *log;
};

/* What the state needs from outside. */
struct vjd_ops {
	/*
	 * Send now. Return: 0; -EAGAIN: full; others: couldn't be sent. Descriptors stay the
	 * caller's.
	 */
	int (*send)(struct app *app, const struct ctl_msg *msg, const int *fds, unsigned fd_cnt);
	/* app_wants_read(), app_wants_write() or app->state may have changed. */
	void (*changed)(struct app *app);
	/*
	 * Do a job on descriptors of a client, call request_job_done() later or at once. Takes the
	 * job.
	 */
	void (*submit)(struct vjd *d, struct fd_job *job);
	/* Has this process ended? One that can't be told about hasn't. */
	bool (*process_ended)(int32_t pid);
	/* Is it stopped, by a signal or by who traces it? One that can't be told about isn't. */
	bool (*process_stopped)(int32_t pid);
	/* Is this an address of this host, seen from vjd's network namespace? */
	bool (*addr_is_local)(const struct ip_addr *addr);
	void (*random)(void *buf, size_t bytes);
};

TAILQ_HEAD(app_list, app);

struct vjd {
	struct vjd_config cfg;
	const struct vjd_ops *ops;
	uint64_t now_ns, start_ns; /* CLOCK_MONOTONIC, set by the caller before each call */

	struct app_list apps;	   /* welcome ones and observers, by id */
	struct app_list strangers; /* no HELLO yet, by age */
	uint32_t app_cnt;	   /* of @apps, without observers */
	uint32_t apps_ever;	   /* likewise, with those that have gone; around */
	struct user_list users;
	struct lease_table leases;
	struct port_map ports;
	uint32_t channel_cnt; /* with both ends */
	struct half_table halves;
	uint64_t run; /* random */
	const struct policy_conf *policy; /* NULL: everybody may have everything */
	struct firewall *firewall; /* NULL: rules are not ours to see; see firewall.h */
	struct interfaces *interfaces; /* NULL: none can be attached; see interfaces.h */
	struct notice_board *board; /* NULL: programs ask instead; see board.h */

	uint64_t huge_pages_ns; /* don't ask the host for huge pages before */

	uint32_t last_app_id, last_lease_id, last_channel_id;
	uint64_t mark; /* see app_mark() */
	uint64_t refused, malformed; /* refused: what `last_refused` can be */
	struct { /* the last one of an application, but for NO_OWNER */
		enum ctl_refusal why; /* NONE: nothing was refused yet */
		uint32_t request;     /* enum ctl_type */
		uint32_t uid;
		int32_t pid;
		uint64_t at_ns;
		char name[CTL_NAME_MAX];
	} last_refused;
};

/** vjd_init() - Start with an empty book. @cfg is copied. Return: 0; -ENOMEM */
int vjd_init(struct vjd *d, const struct vjd_config *cfg, const struct vjd_ops *ops,
	     uint64_t now_ns);

/** vjd_memory_max() - How much channel memory may this user have? */
uint64_t vjd_memory_max(const struct vjd *d, uint32_t uid);

/** vjd_fini() - Free the tables; all applications must be gone */
void vjd_fini(struct vjd *d);

#endif
