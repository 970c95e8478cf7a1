/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tcp_echo - TCP over a channel: a server that sends back what it gets, and a client that checks it
 *
 *	vjd --private                      (once; it leaves when the last application has left)
 *	example-tcp_echo server 7001 &
 *	example-tcp_echo client 7001 1000  (1000 messages; prints how long one takes)
 *
 * Build your own: cc tcp_echo.c $(pkg-config --cflags --libs vjchan)
 */
#include <vj/vj.h>

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { EVENTS_MAX = 64, MESSAGE_BYTES = 64 };

static int fail(const char *what, int rc)
{
	fprintf(stderr, "tcp_echo: %s: %s\n", what, strerror(-rc));
	return 1;
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ AF_INET, htons(port), { htonl(INADDR_LOOPBACK) }, { 0 } };
}

/*
 * Sends back what is there: borrow the bytes where they arrived, send, give them back. What
 * vj_send() does not take stays unread, and VJ_EV_WRITABLE says when to go on.
 */
static void echo(struct vj *vj, struct vj_conn conn)
{
	const uint8_t *data;
	ssize_t len, sent;

	while ((len = vj_recv_borrow(vj, conn, &data)) > 0) {
		sent = vj_send(vj, conn, data, (size_t)len, 0);
		if (sent > 0)
			vj_recv_return(vj, conn, (size_t)sent);
		if (sent < len)
			break;
	}
	if (len == 0 || vj_error(vj, conn, false) != 0)
		vj_conn_close(vj, conn); /* end of file, or the connection failed */
}

static int server(struct vj *vj, uint16_t port)
{
	struct sockaddr_in addr = loopback(port);
	struct vj_event ev[EVENTS_MAX];
	struct vj_listener listener;
	struct vj_conn conn;
	int rc = vj_listen(vj, (struct sockaddr *)&addr, sizeof(addr), 128, 0, -1, 0, &listener);

	if (rc < 0)
		return fail("listen", rc);
	fprintf(stderr, "listening on port %u\n", port);
	for (;;) {
		for (int i = 0, n = vj_poll(vj, ev, EVENTS_MAX, -1); i < n; i++)
			if (ev[i].obj == VJ_OBJ_CONN)
				echo(vj, ev[i].conn);
		while (vj_accept(vj, listener, 0, &conn) == 0)
			echo(vj, conn); /* data may be there already */
	}
}

/* Waits until one of @events happens to the only connection. */
static int await(struct vj *vj, struct vj_conn conn, uint32_t events)
{
	struct vj_event ev;

	while ((vj_ready(vj, conn) & (events | VJ_EV_ERROR | VJ_EV_EOF)) == 0)
		vj_poll(vj, &ev, 1, -1);
	return -vj_error(vj, conn, false);
}

/* One message out and back. */
static int ask(struct vj *vj, struct vj_conn conn, const char *message)
{
	char answer[MESSAGE_BYTES];
	ssize_t got = 0, n = vj_send(vj, conn, message, MESSAGE_BYTES, 0);

	while (n > 0 && got < MESSAGE_BYTES) {
		await(vj, conn, VJ_EV_READABLE);
		n = vj_recv(vj, conn, answer + got, (size_t)(MESSAGE_BYTES - got), false);
		got += n;
	}
	if (n <= 0)
		return n < 0 ? (int)n : -ECONNRESET;
	return memcmp(message, answer, MESSAGE_BYTES) == 0 ? 0 : -EBADMSG;
}

static int client(struct vj *vj, uint16_t port, long messages)
{
	struct sockaddr_in addr = loopback(port);
	char message[MESSAGE_BYTES] = "";
	struct timespec a, b;
	struct vj_conn conn;
	int rc = vj_connect(vj, (struct sockaddr *)&addr, sizeof(addr), NULL, 0, 0, &conn);

	if (rc < 0 || (rc = await(vj, conn, VJ_EV_CONNECTED)) < 0)
		return fail("connect", rc);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long i = 0; i < messages && rc == 0; i++) {
		snprintf(message, sizeof(message), "message %ld", i);
		rc = ask(vj, conn, message);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	if (rc < 0)
		return fail("message", rc);
	printf("%ld messages came back, %.2f us each\n", messages,
	       ((double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3) / (double)messages);
	vj_conn_close(vj, conn);
	return -vj_drain(vj, 1000);
}

/* Return: the number; 0: it isn't one from 1 to @most */
static long number(const char *text, long most)
{
	char more;
	long n;

	return sscanf(text, "%ld%c", &n, &more) == 1 && n >= 1 && n <= most ? n : 0;
}

int main(int argc, char **argv)
{
	bool serves = argc == 3 && strcmp(argv[1], "server") == 0;
	long port = argc > 2 ? number(argv[2], 65535) : 0;
	long messages = argc > 3 ? number(argv[3], LONG_MAX) : 1;
	struct vj *vj;
	int rc;

	if (port == 0 || messages == 0 || argc > 4 || (!serves && strcmp(argv[1], "client") != 0)) {
		fprintf(stderr, "usage: tcp_echo server PORT | tcp_echo client PORT [MESSAGES]\n");
		return 2;
	}
	if ((rc = vj_open(NULL, &vj)) < 0)
		return fail("vjd (start one: vjd --private)", rc);
	rc = serves ? server(vj, (uint16_t)port) : client(vj, (uint16_t)port, messages);
	vj_close(vj);
	return rc;
}
