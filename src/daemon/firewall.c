// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/fw_state.h"

#include "base/time.h"
#include "daemon/app.h"
#include "daemon/channel_maker.h"
#include "daemon/fw_show.h"
#include "daemon/interfaces.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FIRST_READ_MS = 5000, LOGGED_MAX = 32 };

/* ---- said to people */

/* "inet f input handle 7: tcp dport 80 log (log is not compiled)". A long rule is cut, not why. */
static void quote(const struct firewall *fw, const struct fw_place *place, const char *why, char ret[static FW_QUOTE_BYTES])
{
	size_t at, why_bytes = strlen(why) + sizeof(" ()");

	at = (size_t)snprintf(ret, FW_QUOTE_BYTES, "%s %s %s", place->family, place->table, place->chain);
	if (place->handle != 0)
		at += (size_t)snprintf(ret + at, FW_QUOTE_BYTES - at, " handle %llu", (unsigned long long)place->handle);
	if (place->handle == 0 || at + why_bytes + sizeof(": ") > FW_QUOTE_BYTES ||
	    !fw_result_rule(&fw->res, place, ret + at + 2, FW_QUOTE_BYTES - at - 2 - why_bytes)) {
		snprintf(ret + at, FW_QUOTE_BYTES - at, ": %s", why);
		return;
	}
	memcpy(ret + at, ": ", 2);
	at = strlen(ret);
	snprintf(ret + at, FW_QUOTE_BYTES - at, " (%s)", why);
}

void firewall_quote(const struct firewall *fw, uint32_t at, char ret_text[static FW_QUOTE_BYTES])
{
	struct fw_place place;
	char why[FW_GAP_BYTES + 32];
	const char *what;

	if (fw->rules == RULES_PROGRAM && fw_program_place(&fw->res.prog, at & ~FW_AGAINST_ANSWER, &place, &what)) {
		/* it may well name another port */
		snprintf(why, sizeof(why), "%s%s", what, at & FW_AGAINST_ANSWER ? "; an answer may go there" : "");
		quote(fw, &place, why, ret_text);
	} else {
		snprintf(ret_text, FW_QUOTE_BYTES, "%s",
			 fw->rules == RULES_UNREAD ? fw->told : "the rules are too many to say which ports they concern");
	}
}

/* ---- shown: firewall_show() */

/* Rules and policies that keep ports off direct channels, each once; gaps are said to be gaps already. Return: how many, written to @t if it isn't NULL */
static size_t tally_not_direct(const struct fw_result *res, struct fw_tally *t)
{
	struct fw_place place, last = { .handle = 0 };
	const char *why;
	size_t cnt = 0;

	for (uint32_t i = 0; i < res->not_direct_cnt; i++) {
		uint32_t cell = res->not_direct[i];

		if (res->prog.cells[cell].insn.op == FILTER_OP_KERNEL || !fw_program_place(&res->prog, cell, &place, &why) ||
		    (cnt > 0 && fw_place_eq(&place, &last)))
			continue;
		if (t != NULL) {
			t[cnt] = (struct fw_tally){ .place = place, .kind = FW_TALLY_NOT_DIRECT };
			snprintf(t[cnt].why, sizeof(t[cnt].why), "%s", why);
		}
		last = place;
		cnt++;
	}
	return cnt;
}

static struct fw_tally *tallies_of(const struct vjd *d, size_t *ret_cnt)
{
	const struct fw_result *res = &d->firewall->res;
	const struct fw_program *p = &res->prog;
	size_t not_direct = tally_not_direct(res, NULL);
	struct fw_tally *t = calloc(p->counter_cnt + p->gap_cnt + not_direct + 1, sizeof(*t));

	if (t == NULL)
		return NULL;
	for (uint32_t i = 0; i < p->counter_cnt; i++)
		t[i] = (struct fw_tally){ .place = p->counters[i].place, .nth = p->counters[i].nth,
					  .kind = p->counters[i].named ? FW_TALLY_NAMED : FW_TALLY_COUNTER };
	interfaces_firewall_count(d, t);
	for (uint32_t i = 0; i < p->gap_cnt; i++) {
		struct fw_tally *gap = &t[p->counter_cnt + i];

		*gap = (struct fw_tally){ .place = p->gaps[i].place, .kind = FW_TALLY_GAP };
		memcpy(gap->why, p->gaps[i].why, sizeof(gap->why));
	}
	tally_not_direct(res, t + p->counter_cnt + p->gap_cnt);
	*ret_cnt = p->counter_cnt + p->gap_cnt + not_direct;
	return t;
}

/* Return: a memfd with all that the process has to know; negative errno */
static int tally_fd(const struct vjd *d)
{
	int fd = memfd_create("vj-firewall", MFD_CLOEXEC);
	size_t cnt, done = 0, bytes;
	struct fw_tally *t;
	ssize_t n = 0;

	if (fd < 0)
		return -errno;
	t = tallies_of(d, &cnt);
	bytes = t != NULL ? cnt * sizeof(*t) : 0;
	for (; done < bytes; done += (size_t)n) {
		n = write(fd, (const char *)t + done, bytes - done);
		if (n <= 0)
			break;
	}
	free(t);
	if (t == NULL || done < bytes) {
		close(fd);
		return -ENOMEM;
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* A place for one more; those that have ended make room. */
static pid_t *show_slot(struct firewall *fw)
{
	pid_t *free_slot = NULL;

	for (unsigned i = 0; i < FW_SHOWS_MAX; i++) {
		if (fw->shows[i] != 0 && waitpid(fw->shows[i], NULL, WNOHANG) != 0)
			fw->shows[i] = 0;
		if (fw->shows[i] == 0)
			free_slot = &fw->shows[i];
	}
	return free_slot;
}

int firewall_show(struct vjd *d, uint32_t flags, int *ret_fd)
{
	struct firewall *fw = d->firewall;
	pid_t *slot = fw != NULL ? show_slot(fw) : NULL;
	int fds[2], tallies, r;

	if (slot == NULL)
		return fw != NULL ? -EAGAIN : -EPERM;
	tallies = tally_fd(d);
	if (tallies < 0)
		return tallies;
	if (pipe2(fds, O_CLOEXEC) != 0) {
		close(tallies);
		return -EMFILE;
	}
	r = fw_print_start(flags & CTL_FIREWALL_JSON ? FW_PRINT_JSON : flags & CTL_FIREWALL_HANDLES ? FW_PRINT_HANDLES : FW_PRINT_TEXT,
			   tallies, fds[1], slot);
	close(tallies);
	close(fds[1]);
	if (r < 0)
		close(fds[0]);
	else
		*ret_fd = fds[0];
	return r;
}

static void end_shows(struct firewall *fw)
{
	for (unsigned i = 0; i < FW_SHOWS_MAX; i++)
		if (fw->shows[i] != 0) {
			kill(fw->shows[i], SIGKILL);
			waitpid(fw->shows[i], NULL, 0);
		}
}

/* ---- following */

/* Return: one of @app's that could be reached directly no longer can */
static bool lost_one(const struct vjd *d, struct app *app)
{
	bool lost = false;
	struct lease *l;

	TAILQ_FOREACH (l, &app->leases, of_app) {
		bool was = l->forbidden;

		lost |= !firewall_allows(d, l) && !was;
	}
	return lost;
}

/*
 * One endpoint that is not to be reached directly any more, and all direct channels of its user end: which connection runs where is known to
 * nobody here, and it may have moved to another process (a forked child has no lease).
 */
static void end_user(struct vjd *d, struct user *user, uint64_t netns)
{
	struct app *app;

	TAILQ_FOREACH (app, &d->apps, all)
		if (app->user == user && app->netns == netns)
			channel_end_all(app);
}

static void end_forbidden(struct vjd *d)
{
	struct user *user;
	struct app *app;

	TAILQ_FOREACH (app, &d->apps, all)
		if (lost_one(d, app))
			end_user(d, app->user, app->netns);
	LIST_FOREACH (user, &d->users, all) {
		if (!firewall_forbids_spoken(d, user))
			continue;
		end_user(d, user, d->cfg.netns);
		user->spoken_cnt = 0;
		user->spoken_more = false;
	}
}

static void say(const struct vjd *d, const char *why)
{
	const struct firewall *fw = d->firewall;
	char text[FW_QUOTE_BYTES];

	switch (fw->rules) {
	case RULES_UNREAD:
		log_error(d->cfg.log, "firewall: %s: no channel is given", why);
		break;
	case RULES_NONE:
		log_debug(d->cfg.log, "firewall: there are no rules");
		break;
	case RULES_PROGRAM:
		log_info(d->cfg.log, "firewall: %u cells, at most %u steps, %u rules that only the kernel has", fw->res.prog.cell_cnt,
			 fw->res.prog.longest, fw->res.prog.gap_cnt);
	}
	for (uint32_t i = 0; fw->rules == RULES_PROGRAM && i < min_u32(fw->res.prog.gap_cnt, LOGGED_MAX); i++) {
		quote(fw, &fw->res.prog.gaps[i].place, fw->res.prog.gaps[i].why, text);
		log_info(d->cfg.log, "firewall: only the kernel has: %s", text);
	}
	if (fw->rules == RULES_PROGRAM && fw->res.prog.gap_cnt > LOGGED_MAX)
		log_info(d->cfg.log, "firewall: and %u more; see: vj firewall", fw->res.prog.gap_cnt - LOGGED_MAX);
}

/*
 * A read that fails once, for want of a descriptor, say, changes nothing: what was in force is so for a second more, and no connection is
 * reset. The price is that a change which falls into it holds that much later. Rules that are read and not understood are no mishap.
 */
static bool keep_rules(struct firewall *fw, enum fw_read what)
{
	bool again = fw->failed;

	fw->failed = what == FW_READ_FAILED;
	return fw->failed && !again && fw->rules != RULES_UNREAD;
}

/* Is all as it was? A reason that is tried again each second is logged once. */
static bool same_rules(struct firewall *fw, enum rules was, const char *why)
{
	bool same = fw->rules == was && (was == RULES_NONE || (was == RULES_UNREAD && strcmp(fw->told, why) == 0));

	snprintf(fw->told, sizeof(fw->told), "%s", fw->rules == RULES_UNREAD ? why : "");
	return same;
}

static void forget(struct firewall *fw)
{
	fw->res = (struct fw_result){ .why = "" };
	if (fw->bytes.len > 0)
		munmap(fw->bytes.at, fw->bytes.len);
	fw->bytes = (struct fw_bytes_read){ .len = 0 };
}

/* Takes @bytes. Return: NULL; why there is no program */
static const char *take_result(struct firewall *fw, struct fw_bytes_read bytes)
{
	fw->bytes = bytes;
	if (fw_unpack(bytes.at, bytes.len, &fw->res) < 0)
		return "what was read of the rules is not whole";
	return fw->res.why[0] != '\0' ? fw->res.why : NULL;
}

/* Takes @bytes, of FW_READ_RULES. */
static void take(struct vjd *d, enum fw_read what, struct fw_bytes_read bytes, const char *why)
{
	struct firewall *fw = d->firewall;
	enum rules was = fw->rules;

	if (keep_rules(fw, what)) {
		log_info(d->cfg.log, "firewall: %s; the rules stay as they were until that is tried again", why);
		return;
	}
	forget(fw);
	fw->nr = fw->nr + 1 != 0 ? fw->nr + 1 : 1;
	fw->rules = what == FW_READ_EMPTY ? RULES_NONE : RULES_UNREAD;
	if (what == FW_READ_RULES && (why = take_result(fw, bytes)) == NULL)
		fw->rules = RULES_PROGRAM;
	fw_known_renew(fw, fw->rules == RULES_PROGRAM ? &fw->res : &(struct fw_result){ .why = "" });
	if (fw->rules == RULES_PROGRAM && fw->res.prog.expires_s != UINT64_MAX)
		fw_reader_again(fw->reader, d->now_ns + (fw->res.prog.expires_s + 1) * NS_PER_SEC);
	if (same_rules(fw, was, why))
		return;
	say(d, why);
	interfaces_firewall_changed(d);
	end_forbidden(d);
}

void firewall_run(struct vjd *d)
{
	struct fw_bytes_read bytes = { .len = 0 };
	const char *why = "";
	enum fw_read what;

	if (d->firewall == NULL)
		return;
	what = fw_reader_run(d->firewall->reader, d->now_ns, &bytes, &why);
	if (what == FW_READ_SETTLED)
		firewall_settled(d->firewall);
	else if (what != FW_READ_NOTHING)
		take(d, what, bytes, why);
}

uint64_t firewall_deadline_ns(const struct vjd *d)
{
	return d->firewall != NULL ? fw_reader_deadline_ns(d->firewall->reader) : TIME_NEVER;
}

static int known_fd(void *arg)
{
	const struct firewall *fw = arg;

	return fw_known_fd(&fw->known);
}

int firewall_new(struct vjd *d, int *ret_fd)
{
	struct firewall *fw = calloc(1, sizeof(*fw));
	int r = fw != NULL ? fw_reader_new(known_fd, fw, &fw->reader) : -ENOMEM;

	if (r < 0) {
		free(fw);
		return r;
	}
	fw->nr = 1;
	d->firewall = fw;
	*ret_fd = fw_reader_fd(fw->reader);
	firewall_run(d);
	for (int ms = FIRST_READ_MS; ms > 0 && fw->rules == RULES_UNREAD && fw_reader_busy(fw->reader); ms -= 50) {
		fw_reader_wait(fw->reader, 50);
		firewall_run(d);
	}
	return 0;
}

void firewall_free(struct vjd *d)
{
	if (d->firewall == NULL)
		return;
	end_shows(d->firewall);
	fw_reader_free(d->firewall->reader);
	firewall_settled(d->firewall);
	fw_known_free(&d->firewall->known);
	forget(d->firewall);
	free(d->firewall);
	d->firewall = NULL;
}
