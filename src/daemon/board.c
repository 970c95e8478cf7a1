/* SPDX-License-Identifier: BSD-2-Clause */
#include "daemon/board.h"

#include "base/time.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANY = 4, WINDOW_MS = 1000, REST_MIN_S = 1 };

/* What is known of a program, beside its entry on the board. */
struct habit {
	uint64_t key;
	uint64_t since_ns; /* of the first of @cnt */
	uint32_t cnt;
	uint32_t rest_s; /* the last one's length; 0: none yet */
};

struct notice_board {
	struct board *now; /* what the file has */
	struct habit habits[BOARD_BRIEF_CNT];
	int fd; /* < 0: not put up */
	char path[BOARD_PATH_BYTES];
};

static bool write_at(const struct notice_board *b, size_t at, size_t bytes)
{
	return b->fd >= 0 && pwrite(b->fd, (const uint8_t *)b->now + at, bytes, (off_t)at) == (ssize_t)bytes;
}

/* Ports that nobody has are not written: a file's holes are zero. */
static bool write_all(const struct notice_board *b)
{
	const uint32_t *owners = &b->now->owners[0][0];
	bool ok = ftruncate(b->fd, sizeof(*b->now)) == 0 && write_at(b, 0, offsetof(struct board, owners));

	for (size_t i = 0; ok && i < BOARD_PROTO_CNT * BOARD_PORT_CNT; i++)
		if (owners[i] != BOARD_OWNER_NONE)
			ok = write_at(b, offsetof(struct board, owners) + i * sizeof(*owners), sizeof(*owners));
	return ok;
}

/* Its name comes last: nobody finds half a board. */
void notice_board_put_up(struct notice_board *b)
{
	char fresh[BOARD_PATH_BYTES + 4];

	if (b == NULL || b->fd >= 0)
		return;
	snprintf(fresh, sizeof(fresh), "%s.new", b->path);
	unlink(fresh);
	b->fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (b->fd < 0)
		return;
	if (fchmod(b->fd, 0644) == 0 && write_all(b) && rename(fresh, b->path) == 0)
		return;
	unlink(fresh);
	close(b->fd);
	b->fd = -1;
}

struct notice_board *notice_board_new(const char *path)
{
	struct notice_board *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->now = calloc(1, sizeof(*b->now));
	if (b->now == NULL)
		goto err;
	b->fd = -1;
	b->now->head = (struct board_head){ .magic = BOARD_MAGIC, .version = BOARD_VERSION };
	if (snprintf(b->path, sizeof(b->path), "%s" BOARD_SUFFIX, path) >= (int)sizeof(b->path))
		goto err;
	unlink(b->path);
	return b;
err:
	free(b->now);
	free(b);
	return NULL;
}

void notice_board_take_down(struct notice_board *b)
{
	if (b == NULL || b->fd < 0)
		return;
	unlink(b->path);
	close(b->fd);
	b->fd = -1;
}

void notice_board_free(struct notice_board *b)
{
	if (b == NULL)
		return;
	notice_board_take_down(b);
	free(b->now);
	free(b);
}

void notice_board_port(struct notice_board *b, bool udp, uint16_t port, uint32_t owner)
{
	if (b == NULL || b->now->owners[udp][port] == owner)
		return;
	b->now->owners[udp][port] = owner;
	write_at(b, board_owner_at(udp, port), sizeof(owner));
}

void notice_board_interfaces(struct notice_board *b, uint32_t cnt)
{
	if (b == NULL || b->now->head.interfaces == cnt)
		return;
	b->now->head.interfaces = cnt;
	write_at(b, 0, sizeof(b->now->head));
}

/* Does @h begin anew? Another program's is pushed out, but not while it rests. */
static bool is_another(const struct habit *h, const struct board_brief *e, uint64_t key, uint64_t now_ns)
{
	if (h->key != key)
		return now_ns >= e->until_ns;
	/* longer ago than a window after its rest */
	return now_ns > max_u64(h->since_ns, e->until_ns) + WINDOW_MS * NS_PER_MS;
}

void notice_board_brief(struct notice_board *b, uint64_t key, uint64_t now_ns)
{
	struct habit *h;
	struct board_brief *e;

	if (b == NULL)
		return;
	h = &b->habits[board_slot(key)];
	e = &b->now->brief[board_slot(key)];
	if (is_another(h, e, key, now_ns))
		*h = (struct habit){ .key = key, .since_ns = now_ns };
	else if (h->key != key || now_ns < e->until_ns) /* begun before the rest */
		return;
	h->cnt++;
	if (h->cnt < MANY && h->rest_s == 0)
		return;
	h->rest_s = min_u32(h->rest_s == 0 ? REST_MIN_S : 2 * h->rest_s, BOARD_REST_MAX_S);
	h->cnt = 0;
	*e = (struct board_brief){ .key = key, .until_ns = now_ns + h->rest_s * NS_PER_SEC };
	write_at(b, board_brief_at(key), sizeof(*e));
}
