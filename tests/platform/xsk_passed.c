// SPDX-License-Identifier: BSD-2-Clause
/*
 * A bound socket can be used by somebody without any privilege, and not led elsewhere: it maps the rings, sends and
 * receives, but can neither make such a socket nor bind this one to another device.
 */
#include "platform.h"

#include <sys/wait.h>

static int unprivileged(struct xsk *x, int from)
{
	EXPECT(setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
	EXPECT(socket(AF_XDP, SOCK_RAW, 0) == -1 && errno == EPERM);
	EXPECT(xsk_bind(x, "b1", XDP_COPY) == -1 && errno == EBUSY);
	xsk_map(x);
	xsk_fill(x, 8);
	frames_send(from, 5);
	EXPECT(word_get(x->rx, x->at.rx.producer) == 5);
	xsk_queue(x, 3);
	EXPECT(sendto(x->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0);
	EXPECT(word_get(x->tx, x->at.tx.consumer) == 3);
	return 0;
}

int main(void)
{
	int map, link, from, to, status;
	struct xsk x;
	pid_t pid;

	devices();
	map = map_new(BPF_MAP_TYPE_XSKMAP);
	link = attach("a1", prog_redirect(map, XDP_PASS));
	from = tap("a0");
	x = xsk_new(64);
	EXPECT(xsk_bind(&x, "a1", XDP_COPY | XDP_USE_NEED_WAKEUP) == 0);
	EXPECT(map_set(map, (uint32_t)x.fd) == 0);
	to = tap("a0");
	pid = fork();
	if (pid == 0)
		_exit(unprivileged(&x, from));
	EXPECT(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	EXPECT(tap_count(to) == 5 + 3); /* what `from` sent is seen there, too */
	close(link);
	return 0;
}
