// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/if_claim.h"

#include "daemon/if_state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	WAIT_MS = 2000, /* for one that is leaving */
	POLL_MS = 10,
	WHO_BYTES = 192,
};

/* Return: 0; negative errno; @why says more */
static int claim_open(struct place *ret_place, char why[static PLACE_WHY_BYTES])
{
	struct ctl_path path = { .kind = CTL_PATH_GIVEN };
	struct stat st;

	if (stat("/proc/thread-self/ns/net", &st) != 0) {
		snprintf(why, PLACE_WHY_BYTES, "/proc/thread-self/ns/net: %s", strerror(errno));
		return -errno;
	}
	snprintf(path.text, sizeof(path.text), "/run/vjd-net%lu", (unsigned long)st.st_ino);
	return place_open(&path, ret_place, why);
}

/* @ms: how long to wait. Return: as place_lock() */
static int claim_lock(struct place *place, int ms)
{
	int r;

	while ((r = place_lock(place)) == -EAGAIN && ms > 0) {
		usleep(POLL_MS * 1000);
		ms -= POLL_MS;
	}
	return r;
}

/* In the lock, for who finds it taken. */
static void claim_sign(const struct place *place, const char *socket)
{
	if (ftruncate(place->lock_fd, 0) == 0)
		dprintf(place->lock_fd, "vjd of pid %d at %s", getpid(), socket != NULL ? socket : "?");
}

static void claim_read(const struct place *place, char ret_who[static WHO_BYTES])
{
	ssize_t n = pread(place->lock_fd, ret_who, WHO_BYTES - 1, 0);

	if (n > 0)
		ret_who[n] = '\0';
	else /* it has just begun */
		snprintf(ret_who, WHO_BYTES, "another vjd");
}

enum ctl_refusal if_claim(struct interfaces *s, const char *name)
{
	const struct log_sink *log = s->d->cfg.log;
	char why[PLACE_WHY_BYTES], who[WHO_BYTES];
	struct place place;
	int r;

	if (s->claim.locked) {
		s->claiming = true;
		return CTL_REFUSAL_NONE;
	}
	r = claim_open(&place, why);
	if (r < 0) {
		log_error(log, "%s: not attached: %s", name, why);
		return CTL_REFUSAL_NO_SUPPORT;
	}
	/* of several that are to be found again, the first has waited for all */
	r = claim_lock(&place, s->adopting && s->beside ? 0 : WAIT_MS);
	s->beside = r == -EAGAIN;
	if (r == 0) {
		claim_sign(&place, s->d->cfg.path);
		s->claim = place;
		s->claiming = true;
		return CTL_REFUSAL_NONE;
	}
	if (s->beside) {
		claim_read(&place, who);
		log_error(log, "%s: not attached: %s serves the interfaces of this network namespace", name, who);
	} else {
		log_error(log, "%s: not attached: %s.lock: %s", name, place.path.text, strerror(-r));
	}
	place_close(&place);
	return s->beside ? CTL_REFUSAL_OTHER_VJD : CTL_REFUSAL_NO_SUPPORT;
}

void if_claim_done(struct interfaces *s)
{
	s->claiming = false;
	if_claim_settle(s);
}

void if_claim_settle(struct interfaces *s)
{
	if (!s->claiming && TAILQ_EMPTY(&s->ifaces) && s->gateway_cnt == 0)
		if_claim_drop(s);
}

void if_claim_drop(struct interfaces *s)
{
	if (s->claim.locked)
		place_close(&s->claim);
	s->claim.locked = false;
}
