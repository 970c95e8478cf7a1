/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raw_receiver - a bare channel: frames without a stack, received where the sender composed them
 *
 *	vjd --private                          (once; leaves with the last application)
 *	example-raw_receiver receive 9 1000000 &
 *	example-raw_receiver send 9 1000000    (numbered; the receiver looks for gaps)
 *
 * 9 is a number on which both agree; it has nothing to do with TCP ports. The receiver takes frames
 * in batches and gives them back in batches; nothing is copied. The sender is the driver of that
 * channel: see <vj/driver.h>. It stays until the receiver has had enough, because what lies in a
 * channel is gone when either end is.
 *
 * Build your own: cc raw_receiver.c $(pkg-config --cflags --libs vjchan)
 */
#include <vj/vj.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64, FRAME_BYTES = 64 };

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "raw_receiver: %s: %s\n", what, why);
	return 1;
}

/*
 * Takes what is there; returns how many frames. The number in each is one more than in that before.
 */
static unsigned take(struct vj_channel *ch, uint64_t *next, uint64_t *gaps)
{
	struct vj_buf bufs[BATCH];
	unsigned n = vj_channel_rx(ch, bufs, BATCH);

	for (unsigned i = 0; i < n; i++) {
		uint64_t number = 0;

		/* the peer can still write here: copy what you look at twice */
		if (bufs[i].len >= sizeof(number))
			memcpy(&number, bufs[i].data, sizeof(number));
		*gaps += number != *next;
		*next = number + 1;
	}
	vj_channel_rx_free(ch, bufs, n);
	return n;
}

static int receive(struct vj *vj, uint16_t port, uint64_t frames)
{
	struct vj_channel *ch = NULL;
	uint64_t got = 0, next = 0, gaps = 0;
	struct vj_event ev;
	int rc = vj_raw_listen(vj, port, 0);

	if (rc < 0)
		return fail("listen", strerror(-rc));
	printf("receiving at %u\n", port);
	fflush(stdout);
	while (got < frames) {
		unsigned n = ch != NULL ? take(ch, &next, &gaps) : 0;

		got += n;
		if (n > 0)
			continue;
		if (vj_poll(vj, &ev, 1, -1) < 1 || ev.obj != VJ_OBJ_RAW)
			continue;
		if (ev.events & VJ_EV_ACCEPT)
			ch = ev.raw;
		if (ev.events & VJ_EV_ERROR)
			break; /* the sender is gone, or broke the rules */
	}
	if (got < frames)
		return fail("channel", vj_channel_error_text(vj_channel_error(ch)));
	printf("%llu frames, %llu gaps\n", (unsigned long long)got, (unsigned long long)gaps);
	return gaps != 0;
}

static int send_frames(struct vj *vj, uint16_t port, uint64_t frames)
{
	struct vj_channel *ch;
	struct vj_event ev;
	struct vj_buf buf;
	int rc = vj_raw_connect(vj, port, 0, &ch);

	if (rc < 0)
		return fail("connect", strerror(-rc));
	for (uint64_t i = 0; i < frames;) {
		rc = vj_get_buffer(ch, FRAME_BYTES, &buf);
		if (rc == 0) {
			memset(buf.data, 0, FRAME_BYTES);
			memcpy(buf.data, &i, sizeof(i));
			vj_netif_rx(ch, &buf);
			i++;
			if (i % BATCH == 0)
				vj_netif_rx_flush(ch);
			continue;
		}
		if (rc != -ENOBUFS)
			return fail("channel", vj_channel_error_text(vj_channel_error(ch)));
		/* the receiver has no free buffer: let it have what there is, and wait for one */
		vj_netif_rx_flush(ch);
		vj_poll(vj, &ev, 1, 1000000);
	}
	vj_netif_rx_flush(ch);
	while (vj_channel_error(ch) == VJ_CHANNEL_ERR_NONE) /* until the receiver has had enough */
		vj_poll(vj, &ev, 1, 100000000);
	printf("%llu frames sent\n", (unsigned long long)frames);
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
	bool receives = argc > 1 && strcmp(argv[1], "receive") == 0;
	long port = argc > 2 ? number(argv[2], 65535) : 0;
	long frames = argc > 3 ? number(argv[3], LONG_MAX) : 1000;
	struct vj *vj;
	int rc;

	if (port == 0 || frames == 0 || argc > 4 || (!receives && strcmp(argv[1], "send") != 0)) {
		fprintf(stderr, "usage: raw_receiver receive PORT [FRAMES] | raw_receiver send PORT [FRAMES]\n");
		return 2;
	}
	rc = vj_open(NULL, &vj);
	if (rc < 0)
		return fail("vjd (start one: vjd --private)", strerror(-rc));
	if (receives)
		rc = receive(vj, (uint16_t)port, (uint64_t)frames);
	else
		rc = send_frames(vj, (uint16_t)port, (uint64_t)frames);
	vj_close(vj);
	return rc;
}
