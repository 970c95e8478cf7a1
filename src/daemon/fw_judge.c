// SPDX-License-Identifier: BSD-2-Clause
/*
 * fw_judge.c - which ports the rules leave to channels
 *
 * A question is of all ports at an address of a device, so what is known doesn't grow with ports, and leases that come and go cost a look-up. What has been asked once
 * the reader answers for new rules with the rules themselves; only of what is new to vjd (another address) it asks the program here.
 */
#include "daemon/fw_state.h"
#include "daemon/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- what is known */

struct fw_known_row {
	struct fw_port_key key;
	bool taken, answered;
	const uint32_t *at; /* what is against each of the program's ports; NULL: nothing is */
	uint32_t *own; /* @at, if it was asked here */
};

enum { KNOWN_MAX = 1 << 10 };

static uint32_t hash_of(const struct fw_port_key *key)
{
	const uint8_t *b = (const uint8_t *)key;
	uint32_t h = 2166136261;

	for (size_t i = 0; i < sizeof(*key); i++)
		h = (h ^ b[i]) * 16777619;
	return h;
}

/* Where it is, or would be. The table is never full. */
static struct fw_known_row *row_of(const struct fw_known *k, const struct fw_port_key *key)
{
	for (uint32_t i = hash_of(key);; i++) {
		struct fw_known_row *row = &k->rows[i & (k->max - 1)];

		if (!row->taken || memcmp(&row->key, key, sizeof(*key)) == 0)
			return row;
	}
}

void fw_known_free(struct fw_known *k)
{
	for (uint32_t i = 0; i < k->max; i++)
		free(k->rows[i].own);
	free(k->rows);
	*k = (struct fw_known){ .cnt = 0 };
}

static bool make_room(struct fw_known *k)
{
	struct fw_known more = { .cnt = k->cnt, .max = k->max > 0 ? 2 * k->max : 64 };

	if (k->cnt * 2 < k->max)
		return true;
	if (more.max > KNOWN_MAX) {
		fw_known_free(k);
		more = (struct fw_known){ .max = 64 };
	}
	more.rows = calloc(more.max, sizeof(*more.rows));
	if (more.rows == NULL)
		return false;
	for (uint32_t i = 0; i < k->max; i++)
		if (k->rows[i].taken)
			*row_of(&more, &k->rows[i].key) = k->rows[i];
	free(k->rows);
	*k = more;
	return true;
}

/* NULL: no memory. Until the next call */
static struct fw_known_row *row_get(struct fw_known *k, const struct fw_port_key *key)
{
	struct fw_known_row *row;

	if (!make_room(k))
		return NULL;
	row = row_of(k, key);
	k->cnt += !row->taken;
	row->taken = true;
	row->key = *key;
	return row;
}

void fw_known_renew(struct firewall *fw, const struct fw_result *res)
{
	struct fw_known was = fw->known;
	struct fw_known_row *row;

	fw->known = (struct fw_known){ .cnt = 0 };
	for (uint32_t i = 0; i < res->answer_cnt; i++) {
		const struct fw_port_answer *a = &res->answers[i];

		row = row_get(&fw->known, &a->key);
		if (row != NULL)
			*row = (struct fw_known_row){ .key = a->key, .taken = true, .answered = true,
						      .at = a->first != FW_AGAINST_NONE ? res->at + a->first : NULL };
	}
	for (uint32_t i = 0; i < was.max; i++)
		if (was.rows[i].taken)
			row_get(&fw->known, &was.rows[i].key);
	fw_known_free(&was);
}

int fw_known_fd(const struct fw_known *k)
{
	int fd = memfd_create("vj-ports", MFD_CLOEXEC);
	bool ok = fd >= 0;

	for (uint32_t i = 0; ok && i < k->max; i++)
		ok = !k->rows[i].taken || write(fd, &k->rows[i].key, sizeof(k->rows[i].key)) == sizeof(k->rows[i].key);
	if (fd >= 0 && !ok) {
		close(fd);
		return -ENOMEM;
	}
	return fd >= 0 ? fd : -errno;
}

/* ---- questions */

static void answer(const struct fw_program *prog, struct fw_known_row *row)
{
	uint32_t any = 0;

	row->own = calloc(prog->port_cnt, sizeof(*row->own));
	if (row->own == NULL)
		return;
	fw_port_against(prog, &row->key, row->own);
	for (uint32_t c = 0; c < prog->port_cnt; c++)
		any |= row->own[c];
	if (any == 0) {
		free(row->own);
		row->own = NULL;
	}
	row->at = row->own;
	row->answered = true;
}

/* Without rules the question is noted, to be answered with the next ones. */
static uint32_t ask(struct firewall *fw, const struct fw_port_key *key, uint16_t first, uint16_t last)
{
	const struct fw_program *prog = &fw->res.prog;
	struct fw_known_row *row = row_get(&fw->known, key);

	if (fw->rules != RULES_PROGRAM || (!key->directly && prog->gap_cnt == 0))
		return 0;
	if (row != NULL && !row->answered)
		answer(prog, row);
	if (row == NULL || !row->answered)
		return FW_AT_UNKNOWN;
	for (uint32_t c = fw_port_class(prog, first); row->at != NULL && c < prog->port_cnt && prog->ports[c].lo <= last; c++)
		if (row->at[c] != 0)
			return row->at[c];
	return 0;
}

/* Of all addresses first: mostly that answers for each. */
static uint32_t ask_all(struct firewall *fw, const char *device, bool directly, const struct ip_addr *local, uint8_t proto,
			uint16_t first, uint16_t last)
{
	struct fw_port_key key = { .addr = ip_addr_is_v4(local) ? ip_addr_any_v4() : ip_addr_any_v6(), .proto = proto, .directly = directly };

	memcpy(key.device, device, strnlen(device, sizeof(key.device) - 1));
	if (ask(fw, &key, first, last) == 0 && fw->rules == RULES_PROGRAM)
		return 0;
	key.addr = *local;
	return ask(fw, &key, first, last);
}

uint32_t firewall_against(struct firewall *fw, const char *name, const struct ip_addr *local, uint8_t proto, uint16_t first,
			  uint16_t last)
{
	if (fw == NULL)
		return 0;
	return fw->rules == RULES_UNREAD ? FW_AT_UNKNOWN : ask_all(fw, name, false, local, proto, first, last);
}

/* May two applications of this host talk directly, one of them at @at? */
static uint32_t against_directly(struct firewall *fw, uint8_t proto, const struct endpoint *at)
{
	if (proto == CTL_PROTO_RAW)
		return 0;
	return fw->rules == RULES_UNREAD ? FW_AT_UNKNOWN : ask_all(fw, "lo", true, &at->addr, proto, at->port, at->port);
}

/* One at [::] is one at 0.0.0.0, too. */
static uint32_t against_all_directly(struct firewall *fw, const struct lease_key *key)
{
	const struct endpoint v4 = { .addr = ip_addr_any_v4(), .port = key->local.port };
	bool both = ip_addr_is_any(&key->local.addr) && !ip_addr_is_v4(&key->local.addr) && !key->v6only;
	uint32_t at = against_directly(fw, key->proto, &key->local);

	return at == 0 && both ? against_directly(fw, key->proto, &v4) : at;
}

uint32_t firewall_against_direct(const struct vjd *d, const struct lease_key *key)
{
	return d->firewall == NULL || key->netns != d->cfg.netns ? 0 : against_all_directly(d->firewall, key);
}

bool firewall_allows(const struct vjd *d, struct lease *l)
{
	if (d->firewall == NULL || l->key.netns != d->cfg.netns)
		return true;
	if (l->asked != d->firewall->nr) {
		l->asked = d->firewall->nr;
		l->forbidden = firewall_against_direct(d, &l->key) != 0;
	}
	return !l->forbidden;
}

bool firewall_allows_at(const struct vjd *d, struct lease *l, const struct endpoint *at)
{
	return firewall_allows(d, l) ||
	       (ip_addr_is_any(&l->key.local.addr) && against_directly(d->firewall, l->key.proto, at) == 0);
}

/* ---- what was reached directly */

enum { SPOKEN_MAX = 1024 };

void firewall_spoken(const struct vjd *d, struct user *user, uint8_t proto, const struct endpoint *at)
{
	struct user_spoken *s;

	if (d->firewall == NULL || proto == CTL_PROTO_RAW)
		return;
	for (uint32_t i = 0; i < user->spoken_cnt; i++)
		if (user->spoken[i].proto == proto && user->spoken[i].at.port == at->port &&
		    ip_addr_eq(&user->spoken[i].at.addr, &at->addr))
			return;
	/* room is made by doubling, at powers of two */
	if (user->spoken_cnt < SPOKEN_MAX && (user->spoken_cnt & (user->spoken_cnt - 1)) == 0) {
		s = realloc(user->spoken, 2 * (user->spoken_cnt + 1) * sizeof(*s));
		if (s != NULL)
			user->spoken = s;
		else
			user->spoken_more = true;
	}
	user->spoken_more |= user->spoken_cnt == SPOKEN_MAX;
	if (!user->spoken_more)
		user->spoken[user->spoken_cnt++] = (struct user_spoken){ *at, proto };
}

/* Of more than can be remembered, some may be. */
bool firewall_forbids_spoken(const struct vjd *d, const struct user *user)
{
	if (user->spoken_more && d->firewall->rules != RULES_NONE)
		return true;
	for (uint32_t i = 0; i < user->spoken_cnt; i++)
		if (against_directly(d->firewall, user->spoken[i].proto, &user->spoken[i].at) != 0)
			return true;
	return false;
}
