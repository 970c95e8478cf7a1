/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/request.h"

#include "base/assert.h"
#include "daemon/board.h"
#include "daemon/channel_half.h"
#include "daemon/channel_maker.h"
#include "daemon/firewall.h"
#include "daemon/interfaces.h"
#include "daemon/lease_holder.h"
#include "daemon/reporting.h"
#include "daemon/status.h"

#include "vj_version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* For vj status */
static void note_refused(const struct app *app, uint32_t request, enum ctl_refusal why)
{
	struct vjd *d = app->d;

	d->refused++;
	d->last_refused.why = why;
	d->last_refused.request = request;
	d->last_refused.uid = app->uid;
	d->last_refused.pid = app->pid;
	d->last_refused.at_ns = d->now_ns;
	memcpy(d->last_refused.name, app->name, sizeof(app->name));
}

static void refuse(struct app *app, const struct ctl_msg *msg, enum ctl_refusal why)
{
	struct ctl_msg reply = { .type = CTL_REFUSED };

	if (msg != NULL) {
		reply.seq = msg->seq;
		reply.refused.request = msg->type;
	}
	reply.refused.refusal = why;
	reply.refused.version = CTL_VERSION;
	ctl_name_set(reply.refused.release, VJ_VERSION_STRING);
	/* An observer has been told what it wanted to know, and that a port isn't on channels is an answer to who asks for it. */
	if (!app->observer && why != CTL_REFUSAL_NO_OWNER)
		note_refused(app, reply.refused.request, why);
	log_debug(app->d->cfg.log, "app %u, pid %d: %s refused: %s", app->id, app->pid,
		  ctl_type_name(reply.refused.request), ctl_refusal_name(why));
	app_post(app, &reply);
}

void request_refuse(struct app *app, uint32_t type, uint32_t seq, enum ctl_refusal why)
{
	const struct ctl_msg msg = { .type = type, .seq = seq };

	refuse(app, &msg, why);
}

/* ---- descriptors of clients are handled elsewhere */

static struct fd_job *job_new(struct app *app, const int *fds, unsigned fd_cnt)
{
	struct fd_job *job = calloc(1, sizeof(*job));

	VJ_ASSERT_OP(fd_cnt, <=, (unsigned)CTL_PACKET_FDS_ROOM);
	if (job == NULL) {
		/* better to risk that it hangs than to leak for certain */
		for (unsigned i = 0; i < fd_cnt; i++)
			close(fds[i]);
		return NULL;
	}
	memcpy(job->fds, fds, fd_cnt * sizeof(int));
	job->fd_cnt = fd_cnt;
	job->made_fd = -1;
	job->app = app;
	job->user = app->user;
	app->job = job;
	app->user->job_cnt++;
	return job;
}

static void discard(struct app *app, const int *fds, unsigned fd_cnt)
{
	struct fd_job *job;

	if (fd_cnt == 0)
		return;
	job = job_new(app, fds, fd_cnt);
	if (job != NULL)
		app->d->ops->submit(app->d, job);
}

/* ---- one function a request; each answers, or sees to it */

static void do_hello(struct app *app, const struct ctl_msg *msg)
{
	const struct vjd_config *cfg = &app->d->cfg;
	struct ctl_msg reply = { .type = CTL_WELCOME, .seq = msg->seq };

	if (msg->hello.version != CTL_VERSION) {
		refuse(app, msg, CTL_REFUSAL_VERSION);
		app_leave(app);
		return;
	}
	if (app->user->app_cnt >= cfg->limits.apps_max) {
		refuse(app, msg, CTL_REFUSAL_QUOTA_APPS);
		app_leave(app);
		return;
	}
	app_welcome(app, &msg->hello);
	reply.welcome = (struct ctl_welcome){
		.version = CTL_VERSION,
		.app_id = app->id,
		.private_mode = cfg->private_mode,
		.leases_max = cfg->limits.leases_max,
		.channels_max = cfg->limits.channels_max,
		.run = app->d->run,
		.interfaces = interfaces_cnt(app->d),
	};
	memcpy(reply.welcome.mac, app->mac, sizeof(reply.welcome.mac));
	ctl_name_set(reply.welcome.release, VJ_VERSION_STRING);
	/* before WELCOME: whoever has read that knows all of them */
	interfaces_tell(app);
	app_post(app, &reply);
}

static void lease_answer(struct app *app, const struct ctl_msg *msg,
			 const struct lease_proof *proof)
{
	struct ctl_msg reply = { .type = CTL_LEASED, .seq = msg->seq };
	enum ctl_refusal why = lease_grant(app, &msg->lease, proof, &reply.lease);

	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
	else
		app_post(app, &reply);
}

static void do_lease(struct app *app, const struct ctl_msg *msg, const int *fds, unsigned fd_cnt)
{
	enum ctl_refusal why = lease_may(app);
	struct fd_job *job;

	if (why != CTL_REFUSAL_NONE || msg->lease.local.proto == CTL_PROTO_RAW) {
		discard(app, fds, fd_cnt);
		if (why != CTL_REFUSAL_NONE)
			refuse(app, msg, why);
		else
			lease_answer(app, msg, &(struct lease_proof){ 0 });
		return;
	}
	job = job_new(app, fds, fd_cnt);
	if (job == NULL) {
		refuse(app, msg, CTL_REFUSAL_RESOURCES);
		return;
	}
	job->kind = FD_JOB_PROVE;
	job->msg = *msg;
	job->netns = app->netns;
	app->d->ops->submit(app->d, job);
}

/* It has the connection as before if that is refused. */
static void do_to_kernel(struct app *app, const struct ctl_msg *msg, const int *fds, unsigned fd_cnt)
{
	struct repair_job repair;
	enum ctl_refusal why = interfaces_to_kernel(app, &msg->repair, &repair);
	struct fd_job *job;

	if (why != CTL_REFUSAL_NONE) {
		discard(app, fds, fd_cnt);
		refuse(app, msg, why);
		return;
	}
	job = job_new(app, fds, fd_cnt);
	if (job == NULL) {
		if (repair.flows_fd >= 0)
			close(repair.flows_fd);
		refuse(app, msg, CTL_REFUSAL_RESOURCES);
		return;
	}
	job->kind = FD_JOB_REPAIR;
	job->msg = *msg;
	job->repair = repair;
	app->d->ops->submit(app->d, job);
}

/* PEER_BUSY says that the connection is lost: with the socket, if that doesn't get through. */
static void to_kernel_answer(struct app *app, const struct fd_job *job)
{
	struct ctl_msg reply = { .type = CTL_IN_KERNEL, .seq = job->msg.seq, .repair = job->msg.repair };
	bool made = job->result == 0;

	if (made && app_send(app, &reply, &job->made_fd, 1) == 0) {
		interfaces_in_kernel(app->d, job->repair.conn.ifindex);
		return;
	}
	refuse(app, &job->msg,
	       made || job->result == -ECONNRESET ? CTL_REFUSAL_PEER_BUSY :
	       job->result == -EPERM		   ? CTL_REFUSAL_NO_PRIVILEGE :
						     CTL_REFUSAL_REPAIR);
}

static void do_release(struct app *app, const struct ctl_msg *msg)
{
	struct ctl_msg reply = { .type = CTL_RELEASED, .seq = msg->seq };
	enum ctl_refusal why = lease_release(app, msg->lease.id, &reply.lease);

	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
	else
		app_post(app, &reply);
}

static void do_ports(struct app *app, const struct ctl_msg *msg)
{
	struct ctl_msg reply = { .type = CTL_PORTS_LEASED, .seq = msg->seq };

	reply.ports.proto = msg->ports.proto;
	reply.ports.cnt = interfaces_take_ports(app, &msg->ports, &reply.ports.first);
	if (reply.ports.cnt == 0)
		refuse(app, msg, CTL_REFUSAL_NO_PORTS);
	else
		app_post(app, &reply);
}

static void do_connect(struct app *app, const struct ctl_msg *msg)
{
	enum ctl_refusal why = channel_connect(app, msg->seq, &msg->connect);

	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
}

static void do_join(struct app *app, const struct ctl_msg *msg)
{
	enum ctl_refusal why = channel_join_app(app, msg->seq, &msg->join);

	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
}

/* It goes on as it is, and isn't looked at here. */
static void hand_on(struct app *app, struct app *to, const struct ctl_msg *msg, const int *fds, unsigned fd_cnt)
{
	struct ctl_msg reply = { .type = CTL_PASSED, .seq = msg->seq }, event = { .type = CTL_HANDED };
	int r;

	if (to == NULL) {
		discard(app, fds, fd_cnt);
		refuse(app, msg, msg->type == CTL_OFFER ? CTL_REFUSAL_NO_OWNER : CTL_REFUSAL_NO_APP);
		return;
	}
	event.join = (struct ctl_join){ .app_id = app->id, .pid = app->pid };
	r = app_send(to, &event, fds, fd_cnt);
	discard(app, fds, fd_cnt);
	reply.join = (struct ctl_join){ .app_id = to->id, .pid = to->pid };
	if (r == 0)
		app_post(app, &reply);
	else
		refuse(app, msg, r == -EAGAIN ? CTL_REFUSAL_PEER_BUSY : CTL_REFUSAL_RESOURCES);
}

static void do_hold(struct app *app, const struct ctl_msg *msg)
{
	struct ctl_msg reply = { .type = CTL_HELD, .seq = msg->seq };
	enum ctl_refusal why = half_hold(app, &msg->channel, &reply.channel);

	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
	else
		app_post(app, &reply);
}

/* ---- interfaces */

static void do_interface(struct app *app, const struct ctl_msg *msg)
{
	enum ctl_refusal why = interfaces_open_channel(app, msg->seq, &msg->interface);

	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
}

static enum ctl_refusal attach(struct app *app, const struct ctl_interface *req, struct ctl_interface *ret)
{
	const struct ip_prefix prefix = { ip_addr_from_v6(req->addr), req->prefix_len };

	if ((req->flags & CTL_INTERFACE_GATEWAY) != 0)
		return gateways_attach(app->d, req->name, ret);
	return interfaces_attach(app->d, req->name, (req->flags & CTL_INTERFACE_TC) != 0,
				 prefix.len != 0 || !ip_addr_is_any(&prefix.addr) ? &prefix : NULL, ret);
}

static void do_attach(struct app *app, const struct ctl_msg *msg)
{
	struct ctl_msg reply = { .type = CTL_ATTACHED, .seq = msg->seq };
	enum ctl_refusal why = app->uid == 0 ? attach(app, &msg->interface, &reply.interface) : CTL_REFUSAL_NOT_ROOT;

	notice_board_interfaces(app->d->board, interfaces_cnt(app->d));
	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
	else
		app_post(app, &reply);
}

static void do_detach(struct app *app, const struct ctl_msg *msg)
{
	bool is_gateway = (msg->interface.flags & CTL_INTERFACE_GATEWAY) != 0;
	struct ctl_msg reply = { .type = CTL_DETACHED, .seq = msg->seq };
	enum ctl_refusal why = CTL_REFUSAL_NOT_ROOT;

	if (app->uid == 0 && is_gateway)
		why = gateways_detach(app->d, msg->interface.name, &reply.interface);
	else if (app->uid == 0)
		why = interfaces_detach(app, msg->seq, msg->interface.name);
	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
	else if (is_gateway)
		app_post(app, &reply);
}

static void do_ask(struct app *app, const struct ctl_msg *msg)
{
	enum ctl_refusal why = interfaces_ask(app, msg->seq, &msg->connect.remote);

	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
}

static void do_firewall(struct app *app, const struct ctl_msg *msg)
{
	struct ctl_msg reply = { .type = CTL_FIREWALL_SHOWN, .seq = msg->seq };
	enum ctl_refusal why = CTL_REFUSAL_NOT_ROOT;
	int fd, r;

	if (app->uid == 0) {
		r = firewall_show(app->d, msg->firewall.flags, &fd);
		if (r == 0) {
			r = app_send(app, &reply, &fd, 1);
			close(fd);
		}
		why = r == 0 ? CTL_REFUSAL_NONE : r == -EPERM ? CTL_REFUSAL_NO_PRIVILEGE : r == -EAGAIN ? CTL_REFUSAL_PEER_BUSY
													  : CTL_REFUSAL_RESOURCES;
	}
	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
}

/* ---- the board */

static void do_brief(struct app *app, const struct ctl_msg *msg)
{
	notice_board_brief(app->d->board, board_key(app->uid, msg->brief.parent, app->name), app->d->now_ns);
}

/* ---- reports */

static void do_report(struct app *app, const struct ctl_msg *msg)
{
	enum ctl_refusal why = report_ask(app, msg->seq, &msg->report);

	if (why != CTL_REFUSAL_NONE)
		refuse(app, msg, why);
}

/* ---- the way in */

/* Is it allowed now, from this one? */
static enum ctl_refusal admit(struct app *app, const struct ctl_msg *msg)
{
	if ((app->state == APP_STRANGER) != (msg->type == CTL_HELLO))
		return app->state == APP_STRANGER ? CTL_REFUSAL_NOT_WELCOME : CTL_REFUSAL_MALFORMED;
	/* this one only frees, and has no reply to be refused with */
	if (msg->type == CTL_CHANNEL_CLOSE)
		return CTL_REFUSAL_NONE;
	if (!bucket_take(&app->bucket, app->d->now_ns, app->d->cfg.limits.rate_max))
		return CTL_REFUSAL_QUOTA_RATE;
	if (app->observer && msg->type != CTL_STATUS && msg->type != CTL_REPORT && msg->type != CTL_ATTACH &&
	    msg->type != CTL_DETACH && msg->type != CTL_MACS && msg->type != CTL_ASK && msg->type != CTL_FIREWALL)
		return CTL_REFUSAL_OBSERVER;
	return CTL_REFUSAL_NONE;
}

static void serve(struct app *app, const struct ctl_msg *msg, const int *fds, unsigned fd_cnt)
{
	switch ((enum ctl_type)msg->type) {
	case CTL_HELLO:
		do_hello(app, msg);
		return;
	case CTL_LEASE:
	case CTL_TO_KERNEL:
		(msg->type == CTL_LEASE ? do_lease : do_to_kernel)(app, msg, fds, fd_cnt);
		return;
	case CTL_RELEASE:
		do_release(app, msg);
		return;
	case CTL_PORTS:
		do_ports(app, msg);
		return;
	case CTL_CONNECT:
		do_connect(app, msg);
		return;
	case CTL_HOLD:
		do_hold(app, msg);
		return;
	case CTL_REPORT:
		do_report(app, msg);
		return;
	case CTL_JOIN:
		do_join(app, msg);
		return;
	case CTL_PASS:
		hand_on(app, app_find(app, &msg->join), msg, fds, fd_cnt);
		return;
	case CTL_OFFER:
		hand_on(app, lease_other_owner(app, &msg->connect), msg, fds, fd_cnt);
		return;
	case CTL_CHANNEL_CLOSE:
		channel_close(app, &msg->close);
		return;
	case CTL_BRIEF:
		do_brief(app, msg);
		return;
	case CTL_STATUS:
	case CTL_MACS:
		status_begin(app, msg->seq, msg->type == CTL_MACS);
		return;
	case CTL_ASK:
		do_ask(app, msg);
		return;
	case CTL_FIREWALL:
		do_firewall(app, msg);
		return;
	case CTL_INTERFACE:
		do_interface(app, msg);
		return;
	case CTL_RESOLVE:
		interfaces_resolve(app, &msg->neighbour);
		return;
	case CTL_POLLING:
	case CTL_INTERFACE_LEFT:
		(msg->type == CTL_POLLING ? interfaces_polling : interfaces_left)(app, &msg->interface);
		return;
	case CTL_ATTACH:
	case CTL_DETACH:
		(msg->type == CTL_ATTACH ? do_attach : do_detach)(app, msg);
		return;
	default:
		/* ctl_check() lets nothing else of a client's through */
		VJ_UNREACHABLE();
	}
}

static bool is_unanswered(uint32_t type)
{
	return type == CTL_RESOLVE || type == CTL_POLLING || type == CTL_BRIEF || type == CTL_INTERFACE_LEFT;
}

void request_handle(struct app *app, enum ctl_refusal verdict, const struct ctl_msg *msg,
		    const int *fds, unsigned fd_cnt)
{
	enum ctl_refusal why = verdict != CTL_REFUSAL_NONE ? verdict : admit(app, msg);

	VJ_ASSERT(app_wants_read(app));
	if (why == CTL_REFUSAL_NONE) {
		serve(app, msg, fds, fd_cnt);
		return;
	}
	discard(app, fds, fd_cnt);
	/* nobody waits for a reply: what can't be done now is asked for again */
	if (msg != NULL && verdict == CTL_REFUSAL_NONE && why != CTL_REFUSAL_NOT_WELCOME && is_unanswered(msg->type))
		return;
	app->d->malformed += why == CTL_REFUSAL_MALFORMED;
	refuse(app, verdict == CTL_REFUSAL_NONE ? msg : NULL, why);
	if (why == CTL_REFUSAL_MALFORMED || why == CTL_REFUSAL_NOT_WELCOME)
		app_leave(app);
}

/* Applications of a user who had too many jobs may be read again. */
static void wake_user(struct vjd *d, const struct user *user)
{
	struct app *app;

	TAILQ_FOREACH (app, &d->apps, all)
		if (app->user == user)
			d->ops->changed(app);
	TAILQ_FOREACH (app, &d->strangers, all)
		if (app->user == user)
			d->ops->changed(app);
}

void request_user_job_done(struct vjd *d, struct user *user)
{
	if (user->job_cnt-- == QUOTA_JOBS_MAX)
		wake_user(d, user);
	user_put(user);
}

static void job_answer(struct app *app, const struct fd_job *job)
{
	if (job->kind == FD_JOB_REPAIR)
		to_kernel_answer(app, job);
	else if (job->kind == FD_JOB_PROVE && job->result < 0)
		refuse(app, &job->msg, CTL_REFUSAL_PORT_PROOF);
	else if (job->kind == FD_JOB_PROVE)
		lease_answer(app, &job->msg, &job->proof);
}

void request_job_done(struct vjd *d, struct fd_job *job)
{
	struct app *app = job->app;

	if (app != NULL) {
		app->job = NULL;
		if (app->state == APP_WELCOME)
			job_answer(app, job);
		d->ops->changed(app);
	}
	request_user_job_done(d, job->user);
	fd_job_free(job);
}
