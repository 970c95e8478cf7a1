// SPDX-License-Identifier: BSD-2-Clause
/*
 * hot_path.c - what a message costs, to be counted by callgrind (hot_path.py)
 *
 * Both ends live in this process and run in turn in one thread, so every message takes the same path: no spinning, no
 * cache that somebody else holds, no clock to wait for. What happens inside of hot_tcp() and hot_channel() is counted.
 *
 *	hot_path tcp N       N messages of 64 bytes back and forth over TCP on a direct channel: send, poll, receive
 *	hot_path rpc N       the same on 100 connections at a time
 *	hot_path channel N   N frames of 64 bytes through bare rings, in batches of 64
 */
#include <vj/channel.h>
#include <vj/vj.h>

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/types.h"
#include "channel/area_map.h"
#include "hot.h"

enum { BATCH = 64 };

/* ---- TCP ------------------------------------------------------------------------------------------------------- */

static char dir[] = "/tmp/vj-hot-XXXXXX";
static char socket_path[64];
static pid_t vjd_pid;

static void vjd_stop(void)
{
	kill(vjd_pid, SIGTERM);
	waitpid(vjd_pid, NULL, 0);
	unlink(socket_path);
	rmdir(dir);
}

static void vjd_start(void)
{
	const char *build = getenv("VJ_BUILD_DIR");
	char path[512], fd[16], byte;
	int ready[2];

	REQUIRE(mkdtemp(dir) != NULL);
	REQUIRE(pipe(ready) == 0);
	snprintf(fd, sizeof(fd), "%d", ready[1]);
	snprintf(socket_path, sizeof(socket_path), "%s/vjd", dir);
	snprintf(path, sizeof(path), "%s/vjd", build != NULL ? build : "build");
	vjd_pid = fork();
	REQUIRE(vjd_pid >= 0);
	if (vjd_pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execl(path, "vjd", "--private", "--foreground", "--socket", socket_path, "--idle-exit", "60", "--ready-fd", fd,
		      (char *)NULL);
		_exit(127);
	}
	close(ready[1]);
	REQUIRE(read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	atexit(vjd_stop);
}

struct app {
	struct vj *vj;
	struct vj_conn conns[CONNS_MAX];
};

static struct app server, client;
static struct vj_listener listener;

static void app_open(struct app *app, const char *name)
{
	struct vj_options o = VJ_OPTIONS_INIT;

	o.name = name;
	o.socket_path = socket_path;
	REQUIRE(vj_open(&o, &app->vj) == 0);
}

static void connect_all(unsigned cnt)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage where;
	struct vj_event ev[2 * CONNS_MAX];
	unsigned accepted = 0;

	REQUIRE(vj_listen(server.vj, (struct sockaddr *)&addr, sizeof(addr), CONNS_MAX, 0, -1, 0, &listener) == 0);
	vj_listener_addr(server.vj, listener, &where);
	for (unsigned i = 0; i < cnt; i++)
		REQUIRE(vj_connect(client.vj, (struct sockaddr *)&where, sizeof(addr), NULL, 0, i, &client.conns[i]) ==
			0);
	for (unsigned i = 0; accepted < cnt && i < 10000; i++) {
		vj_poll(server.vj, ev, 2 * CONNS_MAX, 0);
		vj_poll(client.vj, ev, 2 * CONNS_MAX, 0);
		while (accepted < cnt && vj_accept(server.vj, listener, accepted, &server.conns[accepted]) == 0)
			accepted++;
		usleep(100);
	}
	REQUIRE(accepted == cnt);
	while (vj_poll(client.vj, ev, 2 * CONNS_MAX, 0) + vj_poll(server.vj, ev, 2 * CONNS_MAX, 0) > 0)
		;
}

/* A message on each connection. */
static void send_all(struct app *from, unsigned cnt, uint64_t seq)
{
	uint64_t msg[MSG_BYTES / 8];

	for (unsigned i = 0; i < cnt; i++) {
		for (unsigned w = 0; w < MSG_BYTES / 8; w++)
			msg[w] = seq + i + w;
		REQUIRE(vj_send(from->vj, from->conns[i], msg, sizeof(msg), 0) == MSG_BYTES);
	}
}

static void recv_all(struct app *to, unsigned cnt, uint64_t seq)
{
	struct vj_event ev[2 * CONNS_MAX];
	uint64_t msg[MSG_BYTES / 8];
	unsigned got = 0;

	while (got < cnt) {
		int n = vj_poll(to->vj, ev, 2 * CONNS_MAX, 0);

		REQUIRE(n >= 0);
		for (int i = 0; i < n; i++) {
			if (!(ev[i].events & VJ_EV_READABLE))
				continue;
			REQUIRE(vj_recv(to->vj, ev[i].conn, msg, sizeof(msg), false) == MSG_BYTES);
			REQUIRE(msg[7] == seq + ev[i].cookie + 7);
			got++;
		}
	}
}

/* Half a round trip on each of @cnt connections is one message each. */
static __attribute__((noinline)) void hot_tcp(unsigned cnt, unsigned messages)
{
	for (unsigned i = 0; i < messages / cnt / 2; i++) {
		send_all(&client, cnt, i);
		recv_all(&server, cnt, i);
		send_all(&server, cnt, i + 1);
		recv_all(&client, cnt, i + 1);
	}
}

static void run_tcp(unsigned cnt, unsigned messages)
{
	vjd_start();
	app_open(&server, "server");
	app_open(&client, "client");
	connect_all(cnt);
	send_all(&client, cnt, 0);
	recv_all(&server, cnt, 0);
	hot_tcp(cnt, messages);
	vj_close(client.vj);
	vj_close(server.vj);
}

/* ---- channel --------------------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void hot_channel(struct vj_channel *from, struct vj_channel *to, unsigned frames)
{
	struct vj_buf bufs[BATCH];

	for (unsigned i = 0; i < frames; i += BATCH) {
		unsigned got;

		REQUIRE(vj_channel_tx_get(from, bufs, BATCH) == BATCH);
		for (unsigned k = 0; k < BATCH; k++) {
			store_u64(bufs[k].data, i + k);
			bufs[k].len = MSG_BYTES;
		}
		vj_channel_tx_put(from, bufs, BATCH);
		vj_channel_tx_publish(from);
		got = vj_channel_rx(to, bufs, BATCH);
		REQUIRE(got == BATCH && load_u64(bufs[BATCH - 1].data) == i + BATCH - 1);
		vj_channel_rx_free(to, bufs, got);
	}
}

static void run_channel(unsigned frames)
{
	const struct vj_area_params params = VJ_AREA_PARAMS_DEFAULT;
	struct vj_channel *ends[2];
	struct area_mapping map;
	int fd;

	REQUIRE(area_create("hot-path", &params, AREA_PAGES_SMALL, &fd, &map) == 0);
	for (unsigned i = 0; i < 2; i++) {
		struct vj_channel_options o = VJ_CHANNEL_OPTIONS_INIT;

		o.area = map.mem;
		o.area_bytes = map.bytes;
		o.params = params;
		o.end = i;
		REQUIRE(vj_channel_attach(&o, &ends[i]) == 0);
	}
	hot_channel(ends[0], ends[1], frames);
	vj_channel_detach(ends[0]);
	vj_channel_detach(ends[1]);
	area_unmap(&map);
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned cnt = argc > 2 ? (unsigned)atoi(argv[2]) : 0;

	REQUIRE(argc == 3 && cnt > 0);
	if (strcmp(argv[1], "channel") == 0)
		run_channel(cnt);
	else if (strcmp(argv[1], "tcp") == 0)
		run_tcp(1, cnt);
	else if (strcmp(argv[1], "rpc") == 0)
		run_tcp(CONNS_MAX, cnt);
	else
		return 1;
	return 0;
}
