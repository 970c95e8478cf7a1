// SPDX-License-Identifier: BSD-2-Clause
/*
 * fw_install.c - the program in the maps of an interface
 *
 * The map has room for two images, of which one is in force. The other one is written, goes on with what the first has counted, and is put in its
 * place by one word of `filter_cfg`; nobody runs it meanwhile, since whoever put the other one in force waited until nobody did. An image says itself
 * whose its counters are (struct filter_kept), so it makes no difference whether this vjd has written the first one.
 */
#include "daemon/fw_state.h"

#include "daemon/fw_show.h"
#include "daemon/if_bpf.h"
#include "policy/filter_packet.h"

#include <bpf/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CELLS_BYTES = 2 * FILTER_CELLS_MAX * sizeof(union filter_cell) };

static union filter_cell *map_cells(const struct if_dispatch *dispatch)
{
	void *at = mmap(NULL, CELLS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dispatch->map_fds[IF_MAP_FILTER_CELLS], 0);

	return at != MAP_FAILED ? at : NULL;
}

/* ---- what goes on */

/* A counter or bucket of the image that was in force, and of the next one, and what it was when that was written. */
struct carried {
	uint64_t whose;
	union filter_cell *from, *to;
	struct filter_count was;
};

struct carriage {
	struct carried *of; /* by @whose */
	uint32_t cnt;
};

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct carried *)a)->whose, y = ((const struct carried *)b)->whose;

	return x < y ? -1 : x > y;
}

/* The next of an image's list. @at: FILTER_KEPT_FIRST at first. Return: false: no more */
static bool next_kept(union filter_cell *image, uint32_t *at)
{
	uint32_t next = image[*at].kept.next;

	/* a list goes down */
	if (next <= FILTER_KEPT_FIRST || next >= FILTER_CELLS_MAX || (*at != FILTER_KEPT_FIRST && next >= *at))
		return false;
	*at = next;
	return true;
}

static struct carriage read_kept(union filter_cell *image)
{
	struct carriage c = { .cnt = 0 };
	uint32_t at, max = 0;

	if (image->head.magic != FILTER_MAGIC)
		return c;
	for (at = FILTER_KEPT_FIRST; next_kept(image, &at);)
		max++;
	c.of = max > 0 ? calloc(max, sizeof(*c.of)) : NULL;
	if (c.of == NULL)
		return c;
	for (at = FILTER_KEPT_FIRST; c.cnt < max && next_kept(image, &at);)
		c.of[c.cnt++] = (struct carried){ .whose = image[at].kept.whose, .from = &image[at - 1] };
	qsort(c.of, c.cnt, sizeof(*c.of), compare);
	return c;
}

/* @next: written, and not in force yet */
static void carry(struct carriage *c, union filter_cell *next)
{
	for (uint32_t at = FILTER_KEPT_FIRST; c->cnt > 0 && next_kept(next, &at);) {
		const struct carried key = { .whose = next[at].kept.whose };
		struct carried *found = bsearch(&key, c->of, c->cnt, sizeof(*c->of), compare);
		union filter_cell *to = &next[at - 1];

		if (found == NULL)
			continue;
		if (next[at].kept.is_bucket) {
			/* what is taken from the old one until the next is in force is taken twice */
			if (found->from->bucket.depth_ns == to->bucket.depth_ns)
				to->bucket.empty_at_ns = __atomic_load_n(&found->from->bucket.empty_at_ns, __ATOMIC_RELAXED);
			continue;
		}
		found->to = to;
		found->was.packets = __atomic_load_n(&found->from->count.packets, __ATOMIC_RELAXED);
		found->was.bytes = __atomic_load_n(&found->from->count.bytes, __ATOMIC_RELAXED);
		to->count = found->was;
	}
}

/* The next one is in force, and nobody runs the old one any more: what that has counted meanwhile. */
static void carry_rest(const struct carriage *c)
{
	for (uint32_t i = 0; i < c->cnt; i++) {
		const struct carried *k = &c->of[i];

		if (k->to == NULL)
			continue;
		__atomic_fetch_add(&k->to->count.packets, k->from->count.packets - k->was.packets, __ATOMIC_RELAXED);
		__atomic_fetch_add(&k->to->count.bytes, k->from->count.bytes - k->was.bytes, __ATOMIC_RELAXED);
	}
}

/* ---- */

/* Return: where the image is, that is to be in force; @ret_kept: what it goes on with */
static uint32_t write_image(const struct fw_program *prog, union filter_cell *cells, uint32_t base, struct carriage *ret_kept)
{
	*ret_kept = read_kept(cells + base);
	base = base == 0 ? FILTER_CELLS_MAX : 0;
	memcpy(cells + base, prog->cells, prog->cell_cnt * sizeof(*prog->cells));
	carry(ret_kept, cells + base);
	return base;
}

/* Of an interface: what is known when nobody runs the image before any more. The map stays as long as this maps it. */
struct fw_pending {
	LIST_ENTRY(fw_pending) entry;
	int map_fd; /* whose it is, as a number */
	union filter_cell *cells;
	struct carriage kept;
};

static void settle(struct fw_pending *p)
{
	carry_rest(&p->kept);
	free(p->kept.of);
	munmap(p->cells, CELLS_BYTES);
	LIST_REMOVE(p, entry);
	free(p);
}

void firewall_settled(struct firewall *fw)
{
	struct fw_pending *p;

	while ((p = LIST_FIRST(&fw->pending)) != NULL)
		settle(p);
}

/* Here and now: an image that is written must not be run by anybody. */
static void settle_first(struct firewall *fw, int map_fd, bool found)
{
	struct fw_pending *p;
	bool any = found;

	LIST_FOREACH (p, &fw->pending, entry)
		any |= p->map_fd == map_fd;
	if (!any)
		return;
	fw_wait_for_runs();
	firewall_settled(fw);
}

/* Takes @cells and @kept. */
static void settle_later(struct firewall *fw, int map_fd, union filter_cell *cells, struct carriage kept)
{
	struct fw_pending *p = malloc(sizeof(*p));

	if (p != NULL) {
		*p = (struct fw_pending){ .map_fd = map_fd, .cells = cells, .kept = kept };
		LIST_INSERT_HEAD(&fw->pending, p, entry);
		fw_reader_settle(fw->reader);
		return;
	}
	fw_wait_for_runs();
	carry_rest(&kept);
	free(kept.of);
	munmap(cells, CELLS_BYTES);
}

void firewall_install(struct firewall *fw, const struct if_dispatch *dispatch, const char *name, bool found)
{
	static const enum filter_on on[] = { [RULES_UNREAD] = FILTER_BLIND, [RULES_NONE] = FILTER_OFF, [RULES_PROGRAM] = FILTER_ON };
	union filter_cell *cells = fw->rules == RULES_PROGRAM ? map_cells(dispatch) : NULL;
	int map_fd = dispatch->map_fds[IF_MAP_FILTER_CELLS];
	struct filter_cfg cfg = { .on = FILTER_OFF };
	struct carriage kept = { .cnt = 0 };
	uint32_t zero = 0;

	settle_first(fw, map_fd, found);
	bpf_map_lookup_elem(dispatch->map_fds[IF_MAP_FILTER_CFG], &zero, &cfg);
	if (cells != NULL)
		cfg.base = write_image(&fw->res.prog, cells, cfg.base, &kept);
	/* what can't be written (no memory) only the kernel knows: the rules of before may allow more */
	cfg.on = fw->rules == RULES_PROGRAM && cells == NULL ? FILTER_BLIND : on[fw->rules];
	cfg.wire.idx = dispatch->ifindex;
	fw_name_words(name, cfg.wire.name);
	cfg.loopback.idx = 1;
	fw_name_words("lo", cfg.loopback.name);
	bpf_map_update_elem(dispatch->map_fds[IF_MAP_FILTER_CFG], &zero, &cfg, BPF_ANY);
	if (cells != NULL)
		settle_later(fw, map_fd, cells, kept);
}

void firewall_count(const struct firewall *fw, const struct if_dispatch *dispatch, struct fw_tally *tallies)
{
	struct filter_cfg cfg = { .on = 0 };
	union filter_cell *cells = fw->rules == RULES_PROGRAM ? map_cells(dispatch) : NULL;
	uint32_t zero = 0;

	if (cells == NULL)
		return;
	bpf_map_lookup_elem(dispatch->map_fds[IF_MAP_FILTER_CFG], &zero, &cfg);
	for (uint32_t i = 0; i < fw->res.prog.counter_cnt; i++) {
		const struct filter_count *count = &cells[cfg.base + fw->res.prog.counters[i].cell].count;

		tallies[i].packets += __atomic_load_n(&count->packets, __ATOMIC_RELAXED);
		tallies[i].bytes += __atomic_load_n(&count->bytes, __ATOMIC_RELAXED);
	}
	munmap(cells, CELLS_BYTES);
}
