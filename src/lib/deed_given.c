// SPDX-License-Identifier: BSD-2-Clause
/*
 * deed_given.c - the former holder keeps a copy of what it gave until the claimer confirms; see move.h
 *
 * The claimer may be killed before it opens the parcel; on the kernel other processes with a copy of the descriptor would still have the connection. So the
 * former holder keeps deed and parcel, without listening to the deed. If the answer socket is closed without the confirming byte, it is the holder again.
 *
 * Where processes use a connection by turns the confirmation must wake nobody: it is looked for when the next connection is given, or a moment later.
 *
 * Some deeds are kept a little longer than that, as they tell when no process has a descriptor any more: who gives many away learns whether they last.
 */
#include "base/time.h"
#include "channel/bell.h"
#include "channel/sys.h"
#include "lib/deed_priv.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <syslog.h>

enum { GIVE_UP_MS = 15000 /* the peer gives up then, too */, SAMPLES = 4 /* whose fate is waited for at a time */ };

/* Return: 1: confirmed; -EAGAIN: not yet; else: the claimer has ended */
static long word_of(const struct deed *d)
{
	uint8_t word;
	long n = sys_recvfrom(d->answer_fd, &word, 1, MSG_DONTWAIT, NULL, NULL);

	return n == -EINTR ? -EAGAIN : n;
}

static void look_in(struct deeds *ds, struct deed *d, uint64_t ns)
{
	d->busy_next = ds->given;
	ds->given = d;
	ds->given_ns = min_u64(ds->given_ns, ns);
}

/* Return: is it known what becomes of it? */
static bool fate_of(const struct vj *vj, const struct deed *d)
{
	struct deed_fates *fates = &vj->deeds->fates[d->opened];
	struct pollfd pfd = { .fd = d->fd };

	if (sys_poll_ms(&pfd, 1, 0) > 0 && (pfd.revents & POLLHUP))
		fates->brief++;
	else if (vj->now_ns - d->again_ns >= DEED_BRIEF_MS * NS_PER_MS)
		fates->lasting++;
	else
		return false;
	return true;
}

struct deed_fates deed_fates(const struct vj *vj, bool opened)
{
	return vj->deeds ? vj->deeds->fates[opened] : (struct deed_fates){ 0 };
}

/* The claimer has it: there is nothing any more to come back for. */
static void take_note(struct deed *d)
{
	d->taken = true;
	own_fd_close(d->answer_fd);
	own_fd_close(d->parcel_fd);
	d->answer_fd = d->parcel_fd = -1;
}

/* This process holds it again, until the next claim, perhaps by its own program. */
static void come_back(struct vj *vj, struct deed *d)
{
	struct vj_conn c;

	lib_log(vj, LOG_INFO, "a connection comes back: the process that was to have it has ended");
	own_fd_close(d->answer_fd);
	d->answer_fd = -1;
	d->state = DEED_QUIET;
	d->packed = d->parted = false;
	d->again_ns = 0;
	if (!deed_listen(vj->deeds, d, d->fd) || deed_open(vj, d, -1, &c))
		deed_free(vj, d);
	else
		raw_watch(vj, d, false);
}

void deed_given_look(struct vj *vj)
{
	struct deeds *ds = vj->deeds;
	struct deed *list = ds->given, *next;

	ds->given = NULL;
	ds->given_ns = UINT64_MAX;
	for (struct deed *d = list; d; d = next) {
		uint64_t waited_ns = vj->now_ns - d->again_ns;
		long word = d->taken ? 1 : word_of(d);

		next = d->busy_next;
		if (word == 1 && !d->taken)
			take_note(d);
		if ((word == 1 && (!d->sampled || fate_of(vj, d))) || (word == -EAGAIN && waited_ns > GIVE_UP_MS * NS_PER_MS))
			deed_free(vj, d);
		else if (word == 1)
			look_in(ds, d, d->again_ns + DEED_BRIEF_MS * NS_PER_MS);
		else if (word == -EAGAIN)
			look_in(ds, d, vj->now_ns + max_u64(DEED_BRIEF_MS * NS_PER_MS, waited_ns / 4));
		else
			come_back(vj, d);
	}
}

/* Drop those of which nothing more is to be learned: else descriptors would pile up. Return: how many are left that are watched. */
static unsigned drop_settled(struct vj *vj)
{
	unsigned samples = 0;

	for (struct deed **at = &vj->deeds->given; *at;) {
		struct deed *d = *at;

		if (!d->taken && word_of(d) == 1)
			take_note(d);
		if (!d->taken || (d->sampled && !fate_of(vj, d))) {
			samples += d->sampled;
			at = &d->busy_next;
			continue;
		}
		*at = d->busy_next;
		deed_free(vj, d);
	}
	return samples;
}

bool deed_given_keep(struct vj *vj, struct deed *d)
{
	struct deeds *ds = vj->deeds;

	if (d->fd < 0 || d->crate_fd >= 0)
		return false;
	d->sampled = drop_settled(vj) < SAMPLES && d->conn.v;
	(void)bell_set_del(ds->set_fd, d->fd);
	raw_rest(d);
	if (d->conn.v)
		deed_conn_gone(vj, d);
	d->cookie = 0;
	d->state = DEED_GIVEN;
	d->again_ns = vj->now_ns;
	look_in(ds, d, vj->now_ns + DEED_BRIEF_MS * NS_PER_MS);
	return true;
}
