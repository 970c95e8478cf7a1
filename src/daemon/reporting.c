/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/reporting.h"

#include "base/time.h"
#include "channel/sys.h"
#include "control/packet.h"
#include "daemon/firewall.h"
#include "daemon/interfaces.h"
#include "daemon/status.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static struct app *find_app(struct app *viewer, uint32_t app_id)
{
	struct app *app;

	TAILQ_FOREACH (app, &viewer->d->apps, all)
		if (app->id == app_id)
			return !app->observer && status_may_see(viewer, app) ? app : NULL;
	return NULL;
}

/* The asked first: to hear of an answer that nobody gives is worse than to give one that nobody hears. */
static int hand_out(struct app *app, struct app *asked, uint32_t seq, const struct ctl_report *req,
		    const int fds[static 2])
{
	struct ctl_msg msg = { .type = CTL_REPORT_WANTED, .report = *req };
	int r = app_send(asked, &msg, &fds[1], 1);

	if (r < 0)
		return r;
	msg.type = CTL_REPORTING;
	msg.seq = seq;
	return app_send(app, &msg, &fds[0], 1);
}

/* ---- what vjd knows itself: rules that keep ports off channels */

enum { RULES_MAX = 256 };

struct rules {
	struct ctl_report_rule *of; /* RULES_MAX */
	uint32_t cnt;
};

static void add_rule(struct rules *r, const struct vjd *d, const struct lease *l, const char *device, uint32_t at)
{
	struct ctl_report_rule *rule = &r->of[r->cnt];

	_Static_assert(sizeof(rule->rule) == FW_QUOTE_BYTES, "a quotation fits");
	if (r->cnt == RULES_MAX)
		return;
	*rule = (struct ctl_report_rule){ .local = ctl_endpoint_make(&l->key.local, l->key.proto) };
	ctl_name_set(rule->device, device);
	firewall_quote(d->firewall, at, rule->rule);
	r->cnt++;
}

static void rules_of(struct rules *r, const struct vjd *d, const struct app *asked)
{
	const struct lease *l;

	if (d->firewall == NULL)
		return;
	TAILQ_FOREACH (l, &asked->leases, of_app) {
		const char *name = "";
		uint32_t pos = 0, at;

		while ((at = interfaces_against(d, &l->key, &pos, &name)) != 0)
			add_rule(r, d, l, name, at);
		at = firewall_against_direct(d, &l->key);
		if (at != 0)
			add_rule(r, d, l, "lo", at);
	}
}

/* Return: a memfd as REPORTED has it; negative errno */
static int sheet_of(const struct rules *r)
{
	int fd = memfd_create("vj-report", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	size_t bytes = r->cnt * sizeof(*r->of);

	if (fd >= 0 && (write(fd, r->of, bytes) != (ssize_t)bytes ||
			fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)) {
		close(fd);
		return -ENOMEM;
	}
	return fd >= 0 ? fd : -errno;
}

/* The answer waits in the socket already. */
static int answer_rules(struct app *app, const struct app *asked, uint32_t seq, const struct ctl_report *req, const int fds[static 2])
{
	struct rules rules = { .of = calloc(RULES_MAX, sizeof(*rules.of)) };
	struct ctl_msg msg = { .type = CTL_REPORTED, .seq = 1 };
	struct ctl_packet p;
	int sheet, r = 0;

	if (rules.of == NULL)
		return -ENOMEM;
	rules_of(&rules, app->d, asked);
	sheet = sheet_of(&rules);
	free(rules.of);
	if (sheet < 0)
		return sheet;
	msg.reported = (struct ctl_reported){ .kind = req->kind, .record_bytes = sizeof(struct ctl_report_rule),
					      .record_cnt = rules.cnt };
	ctl_packet_send(&p, &msg, &sheet, 1);
	if (sendmsg(fds[1], &p.hdr, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		r = -errno;
	close(sheet);
	if (r < 0)
		return r;
	msg = (struct ctl_msg){ .type = CTL_REPORTING, .seq = seq, .report = *req };
	return app_send(app, &msg, &fds[0], 1);
}

/* ---- */

enum ctl_refusal report_ask(struct app *app, uint32_t seq, const struct ctl_report *req)
{
	struct app *asked = find_app(app, req->app_id);
	uint64_t now_ns = app->d->now_ns;
	int fds[2], r;

	if (asked == NULL)
		return CTL_REFUSAL_NO_APP;
	if (req->kind != CTL_REPORT_RULES && asked->asked_ns != 0 && now_ns - asked->asked_ns < REPORT_EVERY_MS * NS_PER_MS)
		return CTL_REFUSAL_PEER_BUSY;
	if (sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return CTL_REFUSAL_RESOURCES;
	if (req->kind == CTL_REPORT_RULES) {
		r = answer_rules(app, asked, seq, req, fds);
	} else {
		asked->asked_ns = now_ns;
		r = hand_out(app, asked, seq, req, fds);
	}
	sys_close(fds[0]);
	sys_close(fds[1]);
	if (r == 0)
		return CTL_REFUSAL_NONE;
	return r == -EAGAIN ? CTL_REFUSAL_PEER_BUSY : CTL_REFUSAL_RESOURCES;
}
