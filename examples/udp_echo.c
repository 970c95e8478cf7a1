/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * udp_echo - datagrams over a channel: a server that sends back what it gets, and a client that
 * checks it
 *
 *	vjd --private                      (once; it leaves when the last application has left)
 *	example-udp_echo server 7002 &
 *	example-udp_echo client 7002 1000  (1000 datagrams, one after the other)
 *
 * A datagram goes out whole or not at all: -EAGAIN says that the channel is full at the moment.
 * Build your own: cc udp_echo.c $(pkg-config --cflags --libs vjchan)
 */
#include <vj/vj.h>

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

enum { DATAGRAM_BYTES_MAX = 65507, ANSWER_MAX_MS = 10000 };

static int fail(const char *what, int rc)
{
	fprintf(stderr, "udp_echo: %s: %s\n", what, strerror(-rc));
	return 1;
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* A socket on @port of the loopback; 0: any. */
static int open_on(struct vj *vj, uint16_t port, struct vj_udp *ret_udp)
{
	struct sockaddr_in addr = loopback(port);

	return vj_udp_open(vj, (struct sockaddr *)&addr, sizeof(addr), 0, -1, 0, ret_udp);
}

static int server(struct vj *vj, uint16_t port)
{
	static char datagram[DATAGRAM_BYTES_MAX];
	struct sockaddr_storage from;
	struct vj_event ev;
	struct vj_udp udp;
	ssize_t len;
	int rc = open_on(vj, port, &udp);

	if (rc < 0)
		return fail("open", rc);
	printf("listening on port %u\n", port);
	fflush(stdout);
	for (;;) {
		vj_poll(vj, &ev, 1, -1);
		while ((len = vj_udp_recv(vj, udp, datagram, sizeof(datagram), false, &from, NULL)) >= 0)
			vj_udp_send(vj, udp, (struct sockaddr *)&from, sizeof(from), datagram,
				    (size_t)len);
	}
}

/* One datagram out and back. */
static int ask(struct vj *vj, struct vj_udp udp, const struct sockaddr_in *to, const char *message)
{
	char answer[64];
	struct vj_event ev;
	ssize_t len;
	int rc = vj_udp_send(vj, udp, (const struct sockaddr *)to, sizeof(*to), message,
			     strlen(message));

	if (rc < 0)
		return rc;
	while ((len = vj_udp_recv(vj, udp, answer, sizeof(answer), false, NULL, NULL)) == -EAGAIN)
		if (vj_poll(vj, &ev, 1, ANSWER_MAX_MS * INT64_C(1000000)) == 0)
			return -ETIMEDOUT;
	if (len < 0)
		return (int)len;
	return (size_t)len == strlen(message) && memcmp(answer, message, (size_t)len) == 0
		       ? 0
		       : -EBADMSG;
}

static int client(struct vj *vj, uint16_t port, long datagrams)
{
	struct sockaddr_in to = loopback(port);
	struct vj_udp udp;
	int rc = open_on(vj, 0, &udp);

	if (rc < 0)
		return fail("open", rc);
	for (long i = 0; i < datagrams; i++) {
		char message[32];

		snprintf(message, sizeof(message), "datagram %ld", i);
		rc = ask(vj, udp, &to, message);
		if (rc < 0)
			return fail(message, rc);
	}
	printf("%ld datagrams came back\n", datagrams);
	vj_udp_close(vj, udp);
	return 0;
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
	long datagrams = argc > 3 ? number(argv[3], LONG_MAX) : 1;
	struct vj *vj;
	int rc;

	if (port == 0 || datagrams == 0 || argc > 4 || (!serves && strcmp(argv[1], "client") != 0)) {
		fprintf(stderr, "usage: udp_echo server PORT | udp_echo client PORT [DATAGRAMS]\n");
		return 2;
	}
	rc = vj_open(NULL, &vj);
	if (rc < 0)
		return fail("vjd (start one: vjd --private)", rc);
	rc = serves ? server(vj, (uint16_t)port) : client(vj, (uint16_t)port, datagrams);
	vj_close(vj);
	return rc;
}
