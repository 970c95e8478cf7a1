// SPDX-License-Identifier: BSD-2-Clause
/* if_adopt.c - after a restart of vjd: interfaces are attached again, channels wait for their applications */
#include "daemon/if_state.h"

#include "base/time.h"
#include "channel/sys.h"
#include "daemon/if_reset.h"
#include "daemon/interfaces.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ADOPT_NS (15 * NS_PER_SEC)

/* Of an interface that is gone: nobody will miss it. */
static void drop_unknown(struct interfaces *s, const struct if_chan_record *rec)
{
	if (s->ready)
		if_chan_scrap(&s->place, rec->nr);
	else
		if_chan_record_drop(s->place.dir, rec->nr);
}

/* What was known of its ports and connections has gone with the maps; its application, when it states it, hears that it is no more. */
static void drop_unfit(struct interfaces *s, const struct iface *i, const struct if_chan_record *rec)
{
	log_error(s->d->cfg.log, "%s: channel %u of process %d ends: it was made by another version of vjd, or its maps are gone", i->name,
		  rec->nr, rec->pid);
	if_chan_scrap(&s->place, rec->nr);
}

/* A program of another version's has other maps, or somebody has taken a part of it away. */
static void drop_lost(struct interfaces *s, struct iface *i, const struct if_chan_record *rec)
{
	log_error(s->d->cfg.log, "%s: channel %u of process %d ends: what belongs to it isn't all there, or is another version's", i->name, rec->nr,
		  rec->pid);
	if_dispatch_forget(&i->dispatch, rec->nr, 0);
	if_lan_chan_end(i->lan, rec->nr);
	i->chans_lost = true;
}

static void adopt_chan(void *arg, const struct if_chan_record *rec)
{
	struct interfaces *s = arg;
	struct iface *i = iface_by_index(s, rec->ifindex);
	struct if_chan *c;

	if (i == NULL) {
		drop_unknown(s, rec);
		return;
	}
	if (i->dispatch.fresh) {
		drop_unfit(s, i, rec);
		return;
	}
	if (if_chan_find(&s->place, &i->dispatch, rec, i->mac, &c) < 0) {
		drop_lost(s, i, rec);
		return;
	}
	TAILQ_INSERT_TAIL(&i->chans, c, entry);
	iface_frames(i);
	if (rec->pid == 0 || s->d->ops->process_ended(rec->pid)) {
		chan_end(s, i, c);
		return;
	}
	chan_watch(s, c);
	if_own6_chan_begin(i->own6, c);
	log_info(s->d->cfg.log, "%s: channel %u of process %d found again", i->name, rec->nr, rec->pid);
}

/* Return: false: none was given to this interface */
static bool prefix_of(int dir_fd, const char *name, struct ip_prefix *ret)
{
	char text[IP_ADDR_TEXT_BYTES + 4] = "";
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		close(fd);
	return n > 0 && ip_prefix_parse(text, ret) == 0;
}

static void adopt_interfaces(struct interfaces *s)
{
	DIR *dir = opendir(s->place.dir);
	struct ctl_interface said;
	struct dirent *e;

	while (dir != NULL && (e = readdir(dir)) != NULL) {
		struct ip_prefix prefix;

		if (strncmp(e->d_name, "if-", 3) != 0)
			continue;
		if (interfaces_attach(s->d, e->d_name + 3, false, prefix_of(dirfd(dir), e->d_name, &prefix) ? &prefix : NULL, &said) ==
		    CTL_REFUSAL_NO_INTERFACE)
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir != NULL)
		closedir(dir);
}

void adopt_begin(struct interfaces *s)
{
	struct iface *i;

	s->adopting = true;
	adopt_interfaces(s);
	if (!s->beside) /* else they may be found yet: by the next one, when the other is gone */
		if_chan_records(s->place.dir, adopt_chan, s);
	s->adopting = false;
	TAILQ_FOREACH (i, &s->ifaces, entry) {
		if (i->chans_lost) /* once for all of them: `flows` is long */
			if_reset_dead(&i->dispatch, i->dispatch.map_fds[IF_MAP_FLOWS]);
		iface_spare(s, i);
	}
	/* from now on, not from @now_ns: the kernel's check of the programs took long on a busy machine, and nobody was let in meanwhile */
	if (s->ready)
		s->adopt_until_ns = time_add_sat(sys_clock_ns(), ADOPT_NS);
}

void adopt_end(struct interfaces *s)
{
	struct if_chan *c, *next;
	struct iface *i;

	s->adopt_until_ns = 0;
	s->reserve_again = true;
	TAILQ_FOREACH (i, &s->ifaces, entry) {
		struct if_ports p = iface_ports(s, i);

		for (c = TAILQ_FIRST(&i->chans); c != NULL; c = next) {
			next = TAILQ_NEXT(c, entry);
			if (c->app == NULL)
				chan_end(s, i, c);
		}
		if_ports_sweep(&p, &s->d->leases);
		if_lan_sweep(i->lan);
		if_own6_sweep(i->own6);
		if_own6_changed(i->own6);
	}
}
