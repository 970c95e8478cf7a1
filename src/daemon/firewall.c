// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/firewall.h"

#include "base/time.h"
#include "daemon/app.h"
#include "daemon/channel_maker.h"
#include "daemon/fw_reader.h"
#include "daemon/if_bpf.h"
#include "daemon/interfaces.h"
#include "policy/filter_packet.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FIRST_READ_MS = 5000, CELLS_BYTES = 2 * FILTER_CELLS_MAX * sizeof(union filter_cell) };

enum rules {
	RULES_UNREAD, /* nothing is given */
	RULES_NONE,
	RULES_PROGRAM,
};

struct firewall {
	struct fw_reader *reader;
	enum rules rules;
	uint32_t nr; /* of these rules; never 0 */
	struct fw_program prog; /* of RULES_PROGRAM */
	bool failed; /* the last read did */
	char told[FW_WHY_BYTES]; /* of RULES_UNREAD: why, as logged; "": not yet */
};

/* ---- the maps of an interface */

static void name_words(const char *name, uint32_t words[static 4])
{
	uint8_t bytes[16] = { 0 };

	memcpy(bytes, name, strnlen(name, sizeof(bytes) - 1));
	for (unsigned i = 0; i < 4; i++)
		words[i] = load_be32(bytes + 4 * i);
}

/* Until nobody runs the image that was in force before (synchronize_rcu()). */
static void wait_for_runs(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0)
		usleep(50000);
}

/* What no program could say: drop everything. Ports that are the kernel's anyway don't notice. */
static const union filter_cell nothing[2] = {
	{ .head = { .magic = FILTER_MAGIC, .entry = { 1, 1 } } },
	{ .insn = { .op = FILTER_OP_KERNEL, .a = UINT32_MAX } },
};

void firewall_install(const struct firewall *fw, const struct if_dispatch *dispatch, const char *name)
{
	struct filter_cfg cfg = { .on = 0 };
	const union filter_cell *from = fw->rules == RULES_PROGRAM ? fw->prog.cells : nothing;
	size_t cnt = fw->rules == RULES_PROGRAM ? fw->prog.cell_cnt : ARRAY_SIZE(nothing);
	uint32_t zero = 0;
	union filter_cell *cells;

	bpf_map_lookup_elem(dispatch->map_fds[IF_MAP_FILTER_CFG], &zero, &cfg);
	cells = mmap(NULL, CELLS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dispatch->map_fds[IF_MAP_FILTER_CELLS], 0);
	/* without the map there is no program to change, and with the old rules in force nothing is relaxed */
	if (cells == MAP_FAILED)
		return;
	wait_for_runs();
	cfg.base = cfg.base == 0 ? FILTER_CELLS_MAX : 0;
	memcpy(cells + cfg.base, from, cnt * sizeof(*from));
	cfg.on = fw->rules != RULES_NONE;
	cfg.wire.idx = dispatch->ifindex;
	name_words(name, cfg.wire.name);
	cfg.loopback.idx = 1;
	name_words("lo", cfg.loopback.name);
	bpf_map_update_elem(dispatch->map_fds[IF_MAP_FILTER_CFG], &zero, &cfg, BPF_ANY);
	munmap(cells, CELLS_BYTES);
}

/* ---- questions */

static void know(struct fw_question *q, unsigned word, uint32_t value)
{
	q->word[word] = (struct fw_range){ value, value };
}

static void know_name(struct fw_question *q, unsigned word, const char *name)
{
	uint32_t words[4];

	name_words(name, words);
	for (unsigned i = 0; i < 4; i++)
		know(q, word + i, words[i]);
}

static void know_addr(struct fw_question *q, unsigned word, const struct ip_addr *addr)
{
	bool v4 = ip_addr_is_v4(addr);

	if (ip_addr_is_any(addr))
		return;
	for (unsigned i = 0; i < 4; i++)
		know(q, word + i, v4 ? (i == 0 ? be32_get(addr->words[3]) : 0) : be32_get(addr->words[i]));
}

/* A packet between this host's @local, ports [@first, @last], and anybody. @ours: it is from there; else to it */
static struct fw_question question(enum filter_dir dir, const char *device, bool ours, const struct ip_addr *local, uint8_t proto,
				   uint16_t first, uint16_t last)
{
	struct fw_question q = fw_question_any(dir);

	know(&q, FILTER_NFPROTO, ip_addr_is_v4(local) ? FILTER_NFPROTO_IP4 : FILTER_NFPROTO_IP6);
	know(&q, FILTER_ETHERTYPE, ip_addr_is_v4(local) ? 0x0800 : 0x86dd);
	know(&q, FILTER_L4PROTO, proto);
	q.word[FILTER_HAVE] = (struct fw_range){ 0, FILTER_HAVE_L4 };
	q.word[FILTER_CT_FIRST] = (struct fw_range){ 0, 1 };
	know(&q, FILTER_PKTTYPE, 0);
	know_name(&q, FILTER_IIFNAME, dir == FILTER_INBOUND ? device : "");
	know_name(&q, FILTER_OIFNAME, dir == FILTER_OUTBOUND ? device : "");
	know_addr(&q, ours ? FILTER_SADDR : FILTER_DADDR, local);
	q.word[ours ? FILTER_SPORT : FILTER_DPORT] = (struct fw_range){ first, last };
	q.word[FILTER_DADDR_TYPE] = (struct fw_range){ FILTER_RTN_UNICAST, FILTER_RTN_LOCAL };
	if (dir == FILTER_INBOUND)
		know(&q, FILTER_DADDR_TYPE, FILTER_RTN_LOCAL);
	return q;
}

bool firewall_judges(const struct firewall *fw, const char *name, const struct ip_addr *local, uint8_t proto, uint16_t first,
		     uint16_t last)
{
	if (fw == NULL || fw->rules == RULES_NONE)
		return true;
	if (fw->rules == RULES_UNREAD)
		return false;
	for (enum filter_dir dir = 0; dir < FILTER_DIR_CNT; dir++) {
		struct fw_question q = question(dir, name, dir == FILTER_OUTBOUND, local, proto, first, last);
		struct fw_answer a;

		if (fw_ask(&fw->prog, &q, &a) < 0 || a.verdicts & 1u << FILTER_KERNEL)
			return false;
	}
	return true;
}

/* Both hosts are this one, and both ends of it the loopback device's. Stacks of ours send nothing that is invalid. */
static bool passes_loopback(const struct firewall *fw, bool answer, uint8_t proto, const struct endpoint *at)
{
	for (enum filter_dir dir = 0; dir < FILTER_DIR_CNT; dir++) {
		struct fw_question q = question(dir, "lo", answer, &at->addr, proto, at->port, at->port);
		struct fw_answer a;

		know(&q, FILTER_HAVE, FILTER_HAVE_L4);
		know(&q, FILTER_DADDR_TYPE, FILTER_RTN_LOCAL);
		q.ct = FILTER_CT_ESTABLISHED | (answer ? 0 : FILTER_CT_NEW);
		if (answer)
			know(&q, FILTER_CT_FIRST, 0);
		if (fw_ask(&fw->prog, &q, &a) < 0 || a.verdicts != 1u << FILTER_ACCEPT || a.counts)
			return false;
	}
	return true;
}

/* May two applications of this host talk directly, one of them at @at? */
static bool leaves_alone(const struct firewall *fw, uint8_t proto, const struct endpoint *at)
{
	if (fw->rules == RULES_NONE || proto == CTL_PROTO_RAW)
		return true;
	return fw->rules == RULES_PROGRAM && passes_loopback(fw, false, proto, at) && passes_loopback(fw, true, proto, at);
}

/* One at [::] is one at 0.0.0.0, too. */
static bool leaves_all_alone(const struct firewall *fw, const struct lease_key *key)
{
	const struct endpoint v4 = { .addr = ip_addr_any_v4(), .port = key->local.port };
	bool both = ip_addr_is_any(&key->local.addr) && !ip_addr_is_v4(&key->local.addr) && !key->v6only;

	return leaves_alone(fw, key->proto, &key->local) && (!both || leaves_alone(fw, key->proto, &v4));
}

bool firewall_allows(const struct vjd *d, struct lease *l)
{
	if (d->firewall == NULL || l->key.netns != d->cfg.netns)
		return true;
	if (l->asked != d->firewall->nr) {
		l->asked = d->firewall->nr;
		l->forbidden = !leaves_all_alone(d->firewall, &l->key);
	}
	return !l->forbidden;
}

bool firewall_allows_at(const struct vjd *d, struct lease *l, const struct endpoint *at)
{
	return firewall_allows(d, l) || (ip_addr_is_any(&l->key.local.addr) && leaves_alone(d->firewall, l->key.proto, at));
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
static void end_forbidden(struct vjd *d)
{
	struct app *app, *other;

	TAILQ_FOREACH (app, &d->apps, all)
		if (lost_one(d, app))
			TAILQ_FOREACH (other, &d->apps, all)
				if (other->uid == app->uid && other->netns == app->netns)
					channel_end_all(other);
}

static void say(const struct vjd *d, const char *why)
{
	const struct firewall *fw = d->firewall;

	switch (fw->rules) {
	case RULES_UNREAD:
		log_error(d->cfg.log, "firewall: %s: no channel is given", why);
		break;
	case RULES_NONE:
		log_debug(d->cfg.log, "firewall: there are no rules");
		break;
	case RULES_PROGRAM:
		log_info(d->cfg.log, "firewall: %u cells, at most %u steps, %u rules that only the kernel has", fw->prog.cell_cnt,
			 fw->prog.longest, fw->prog.gap_cnt);
	}
	for (uint32_t i = 0; fw->rules == RULES_PROGRAM && i < fw->prog.gap_cnt; i++)
		log_info(d->cfg.log, "firewall: only the kernel has: %s %s %s handle %llu: %s", fw->prog.gaps[i].place.family,
			 fw->prog.gaps[i].place.table, fw->prog.gaps[i].place.chain,
			 (unsigned long long)fw->prog.gaps[i].place.handle, fw->prog.gaps[i].why);
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

static void take(struct vjd *d, enum fw_read what, const char *json, size_t len, const char *why)
{
	struct firewall *fw = d->firewall;
	char compile_why[FW_WHY_BYTES];
	enum rules was = fw->rules;

	if (keep_rules(fw, what)) {
		log_info(d->cfg.log, "firewall: %s; the rules stay as they were until that is tried again", why);
		return;
	}
	fw_program_free(&fw->prog);
	fw->nr = fw->nr + 1 != 0 ? fw->nr + 1 : 1;
	fw->rules = what == FW_READ_EMPTY ? RULES_NONE : RULES_UNREAD;
	if (what == FW_READ_RULES) {
		if (fw_compile(json, len, &fw->prog, compile_why) == 0)
			fw->rules = RULES_PROGRAM;
		else
			why = compile_why;
	}
	if (fw->rules == RULES_PROGRAM && fw->prog.expires_s != UINT64_MAX)
		fw_reader_again(fw->reader, d->now_ns + (fw->prog.expires_s + 1) * NS_PER_SEC);
	if (same_rules(fw, was, why))
		return;
	say(d, why);
	interfaces_firewall_changed(d);
	end_forbidden(d);
}

void firewall_run(struct vjd *d)
{
	const char *json = NULL, *why = "";
	size_t len = 0;
	enum fw_read what;

	if (d->firewall == NULL)
		return;
	what = fw_reader_run(d->firewall->reader, d->now_ns, &json, &len, &why);
	if (what != FW_READ_NOTHING)
		take(d, what, json, len, why);
}

uint64_t firewall_deadline_ns(const struct vjd *d)
{
	return d->firewall != NULL ? fw_reader_deadline_ns(d->firewall->reader) : TIME_NEVER;
}

int firewall_new(struct vjd *d, int *ret_fd)
{
	struct firewall *fw = calloc(1, sizeof(*fw));
	int r = fw != NULL ? fw_reader_new(&fw->reader) : -ENOMEM;

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
	fw_reader_free(d->firewall->reader);
	fw_program_free(&d->firewall->prog);
	free(d->firewall);
	d->firewall = NULL;
}
