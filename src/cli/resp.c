// SPDX-License-Identifier: BSD-2-Clause
#include "cli/resp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { TIMEOUT_S = 10, TEXT_BYTES = 1 << 16 };

struct resp {
	FILE *in;
	int fd;
	char text[TEXT_BYTES];
};

int resp_open(uint16_t port, struct resp **ret_r)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval timeout = { .tv_sec = TIMEOUT_S };
	struct resp *r = calloc(1, sizeof(*r));
	int err;

	if (r == NULL)
		return -ENOMEM;
	r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->fd < 0)
		goto fail;
	setsockopt(r->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(r->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(r->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		goto fail;
	r->in = fdopen(r->fd, "r");
	if (r->in == NULL)
		goto fail;
	*ret_r = r;
	return 0;
fail:
	err = errno;
	if (r->fd >= 0)
		close(r->fd);
	free(r);
	return -err;
}

void resp_close(struct resp *r)
{
	if (r != NULL)
		fclose(r->in);
	free(r);
}

static int send_line(struct resp *r, const char *line)
{
	char buf[512];
	int len = snprintf(buf, sizeof(buf), "%s\r\n", line);

	if (len >= (int)sizeof(buf))
		return -EMSGSIZE;
	return send(r->fd, buf, (size_t)len, MSG_NOSIGNAL) == len ? 0 : -EIO;
}

static int read_line(struct resp *r)
{
	if (fgets(r->text, sizeof(r->text), r->in) == NULL)
		return errno == EAGAIN ? -ETIMEDOUT : -ECONNRESET;
	r->text[strcspn(r->text, "\r\n")] = '\0';
	return 0;
}

/* Reads one reply, which may be an array of bulk strings. */
static int read_reply(struct resp *r, unsigned depth,
		      void (*fn)(void *arg, const char *text, size_t len), void *arg)
{
	int rc = read_line(r);
	long n;

	if (rc < 0)
		return rc;
	n = r->text[0] != '\0' ? atol(r->text + 1) : 0;
	switch (r->text[0]) {
	case '+':
	case ':':
		fn(arg, r->text + 1, strlen(r->text + 1));
		return 0;
	case '$':
		if (n < 0) {
			fn(arg, NULL, 0);
			return 0;
		}
		if (n > TEXT_BYTES - 3 || fread(r->text, 1, (size_t)n + 2, r->in) != (size_t)n + 2)
			return -EPROTO;
		r->text[n] = '\0';
		fn(arg, r->text, (size_t)n);
		return 0;
	case '*':
		for (long i = 0; i < n && rc == 0; i++)
			rc = depth == 0 ? read_reply(r, 1, fn, arg) : -EPROTO;
		return rc;
	default:
		return -EPROTO;
	}
}

int resp_each(struct resp *r, const char *line, void (*fn)(void *arg, const char *text, size_t len),
	      void *arg)
{
	int rc = send_line(r, line);

	return rc == 0 ? read_reply(r, 0, fn, arg) : rc;
}

static void is_pong(void *arg, const char *text, size_t len)
{
	*(bool *)arg = len == 4 && memcmp(text, "PONG", 4) == 0;
}

int resp_ping(struct resp *r)
{
	bool pong = false;
	int rc = resp_each(r, "PING", is_pong, &pong);

	return rc < 0 ? rc : pong ? 0 : -EAGAIN;
}
