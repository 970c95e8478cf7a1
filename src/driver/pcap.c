// SPDX-License-Identifier: BSD-2-Clause
/*
 * pcap.c - capture files, written by libpcap
 *
 * libpcap is loaded when the first capture is opened, not with this library: it brings a dozen libraries (D-Bus,
 * systemd, libgcrypt ...) that have no business in every program that runs on channels.
 */
#include "driver/pcap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/time.h"
#include "channel/sys.h"

/* Header of a record in the file: seconds, nanoseconds, bytes kept, bytes that there were; 32 bits each. */
#define RECORD_HEADER_BYTES 16u
#define BUFFER_BYTES (1u << 18)

_Static_assert(BUFFER_BYTES >= CAPTURE_SNAP_BYTES + RECORD_HEADER_BYTES, "any record fits");

#define LIBPCAP_CALLS(X)                        \
	X(pcap_open_dead_with_tstamp_precision) \
	X(pcap_dump_open_append)                \
	X(pcap_dump_file)                       \
	X(pcap_dump)                            \
	X(pcap_dump_flush)                      \
	X(pcap_dump_close)                      \
	X(pcap_close)

struct libpcap {
	void *handle;
#define X(call) __typeof__(call) *call;
	LIBPCAP_CALLS(X)
#undef X
};

struct capture {
	struct libpcap lib;
	pcap_t *format; /* "Ethernet, nanoseconds": libpcap wants one to write with */
	pcap_dumper_t *out;
	char *buffer;	     /* stdio's */
	size_t buffer_bytes; /* of it in use */
	uint64_t frames;
	int error; /* first failure to write since the last flush */
};

static int libpcap_load(struct libpcap *lib)
{
	bool whole = true;

	lib->handle = dlopen("libpcap.so.0.8", RTLD_NOW | RTLD_LOCAL);
	if (!lib->handle)
		lib->handle = dlopen("libpcap.so.1", RTLD_NOW | RTLD_LOCAL); /* its name outside of Debian */
	if (!lib->handle)
		return -ELIBACC;
#define X(call)                                                        \
	*(void **)(void *)&lib->call = dlsym(lib->handle, #call); \
	whole = whole && lib->call != NULL;
	LIBPCAP_CALLS(X)
#undef X
	return whole ? 0 : -ELIBBAD;
}

/* stdio makes new files readable for all; make it first, our way. */
static int capture_create(const char *path)
{
	int fd = sys_openat(AT_FDCWD, path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 ? fd : sys_close(fd);
}

static int capture_open_out(struct capture *capture, const char *path)
{
	FILE *file;

	capture->out = capture->lib.pcap_dump_open_append(capture->format, path);
	if (!capture->out)
		return -EINVAL;
	file = capture->lib.pcap_dump_file(capture->out);
	sys_fcntl(fileno(file), F_SETFD, FD_CLOEXEC);
	/* What libpcap has written so far is the file header; out with it before the buffer changes. */
	if (fflush(file) != 0)
		return -EIO;
	return setvbuf(file, capture->buffer, _IOFBF, BUFFER_BYTES) == 0 ? 0 : -ENOMEM;
}

int capture_open(const char *path, struct capture **ret_capture)
{
	struct capture *capture;
	int err;

	err = capture_create(path);
	if (err < 0)
		return err;
	capture = calloc(1, sizeof(*capture));
	if (!capture)
		return -ENOMEM;
	err = libpcap_load(&capture->lib);
	if (err < 0) {
		(void)capture_close(capture);
		return err;
	}
	capture->buffer = malloc(BUFFER_BYTES);
	capture->format = capture->lib.pcap_open_dead_with_tstamp_precision(DLT_EN10MB, CAPTURE_SNAP_BYTES,
							       PCAP_TSTAMP_PRECISION_NANO);
	err = capture->buffer && capture->format ? capture_open_out(capture, path) : -ENOMEM;
	if (err < 0) {
		(void)capture_close(capture);
		return err;
	}
	*ret_capture = capture;
	return 0;
}

void capture_frame(struct capture *capture, uint64_t now_ns, const void *bytes, uint32_t len)
{
	struct pcap_pkthdr header = {
		.ts = { .tv_sec = (time_t)(now_ns / NS_PER_SEC),
			.tv_usec =
				(suseconds_t)(now_ns % NS_PER_SEC) }, /* nanoseconds, as opened */
		.caplen = min_u32(len, CAPTURE_SNAP_BYTES),
		.len = len,
	};
	size_t record_bytes = header.caplen + RECORD_HEADER_BYTES;

	/* stdio must not write a part of a record because its buffer is full. */
	if (capture->buffer_bytes + record_bytes > BUFFER_BYTES) {
		int err = capture_flush(capture);

		if (capture->error == 0)
			capture->error = err;
	}
	capture->lib.pcap_dump((unsigned char *)capture->out, &header, bytes);
	capture->buffer_bytes += record_bytes;
	capture->frames++;
}

int capture_flush(struct capture *capture)
{
	int saved_errno = errno, err = capture->error;

	if (capture->lib.pcap_dump_flush(capture->out) != 0 && err == 0)
		err = errno ? -errno : -EIO;
	errno = saved_errno;
	capture->buffer_bytes = 0;
	capture->error = 0;
	return err;
}

int capture_close(struct capture *capture)
{
	int err = 0;

	if (!capture)
		return 0;
	if (capture->out) {
		err = capture_flush(capture);
		capture->lib.pcap_dump_close(capture->out);
	}
	if (capture->format)
		capture->lib.pcap_close(capture->format);
	if (capture->lib.handle)
		dlclose(capture->lib.handle);
	free(capture->buffer);
	free(capture);
	return err;
}

uint64_t capture_frames(const struct capture *capture)
{
	return capture->frames;
}

static void capture_tap_frame(void *ctx, enum tap_dir dir, uint64_t now_ns, const void *bytes,
			      uint32_t len)
{
	(void)dir; /* the MAC addresses in the frame tell */
	capture_frame(ctx, now_ns, bytes, len);
}

struct tap capture_tap(struct capture *capture)
{
	return (struct tap){ .frame = capture_tap_frame, .ctx = capture };
}
