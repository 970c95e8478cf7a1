// SPDX-License-Identifier: BSD-2-Clause
/* deed_msg.c - messages between processes that have copies of a connection, and the parcel that holds a connection as bytes; see move.h */
#include "channel/sys.h"
#include "lib/deed_priv.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

union deed_control {
	struct cmsghdr head;
	char bytes[CMSG_SPACE(DEED_FDS * sizeof(int))];
};

int deed_pair(int type, int ret_pair[static 2])
{
	struct own_fd_room room;
	int err;

	own_fd_begin(&room);
	err = sys_socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ret_pair);
	own_fd_end(&room);
	return err;
}

int deed_msg_send(int fd, const struct deed_msg *msg, const int *fds, unsigned fd_cnt)
{
	union deed_control control = { .head = { .cmsg_len = CMSG_LEN(fd_cnt * sizeof(int)),
						 .cmsg_level = SOL_SOCKET,
						 .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (void *)(uintptr_t)msg, sizeof(*msg) };
	struct msghdr hdr = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = CMSG_SPACE(fd_cnt * sizeof(int)) };
	long n;

	memcpy(CMSG_DATA(&control.head), fds, fd_cnt * sizeof(int));
	do
		n = sys_sendmsg(fd, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == -EINTR);
	return n < 0 ? (int)n : 0;
}

static void fds_close(const int *fds, unsigned cnt)
{
	for (unsigned i = 0; i < cnt; i++)
		own_fd_close(fds[i]);
}

unsigned deed_msg_fd_cnt(uint32_t kind)
{
	return kind == DEED_PARCEL || kind == DEED_WATCHED ? 2 : 1;
}

static int recv_one(int fd, unsigned kinds, int flags, struct deed_msg *ret_msg, int ret_fds[static DEED_FDS])
{
	union deed_control control;
	struct iovec iov = { ret_msg, sizeof(*ret_msg) };
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
	};
	struct own_fd_room room;
	unsigned cnt = 0;
	int fds[DEED_FDS];
	long n;

	own_fd_begin(&room);
	n = sys_recvmsg(fd, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT | flags);
	if (n >= 0 && hdr.msg_controllen >= CMSG_LEN(sizeof(int)) && control.head.cmsg_type == SCM_RIGHTS) {
		cnt = min_u32((unsigned)((control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int)), DEED_FDS);
		memcpy(fds, CMSG_DATA(&control.head), cnt * sizeof(int));
	}
	for (unsigned i = 0; i < cnt; i++)
		fds[i] = own_fd_in(&room, fds[i]);
	own_fd_end(&room);
	if (n == -EAGAIN || n == -EINTR)
		return (int)n;
	if (n < 0 || (n == 0 && !hdr.msg_controllen))
		return -EPIPE;
	if (n == sizeof(*ret_msg) && ret_msg->magic == DEED_MAGIC && ret_msg->kind < DEED_KIND_CNT &&
	    (kinds >> ret_msg->kind & 1) && cnt == deed_msg_fd_cnt(ret_msg->kind)) {
		memcpy(ret_fds, fds, cnt * sizeof(int));
		return 0;
	}
	fds_close(fds, cnt);
	return -EBADMSG;
}

int deed_msg_recv_one(int fd, unsigned kinds, struct deed_msg *ret_msg, int ret_fds[static DEED_FDS])
{
	return recv_one(fd, kinds, 0, ret_msg, ret_fds);
}

int deed_socket(int token)
{
	struct deed_msg msg;
	int fds[DEED_FDS];

	return recv_one(token, 1u << DEED_SOCKET, MSG_PEEK, &msg, fds) ? -1 : fds[0];
}

int deed_msg_recv(int fd, unsigned kinds, struct deed_msg *ret_msg, int ret_fds[static DEED_FDS])
{
	int err;

	do
		err = deed_msg_recv_one(fd, kinds, ret_msg, ret_fds);
	while (err == -EBADMSG || err == -EINTR);
	return err;
}

/* The parcel where RLIMIT_FSIZE forbids a file of that size: one message in a socket, which is only ever read by MSG_PEEK. Return: a descriptor; -errno */
static int message_write(const uint8_t *buf, uint64_t bytes)
{
	int pair[2], room = (int)min_u64(bytes, INT_MAX), err = deed_pair(SOCK_SEQPACKET, pair);
	long n;

	if (err)
		return err;
	(void)sys_setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	n = sys_sendto(pair[1], buf, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, NULL, 0);
	sys_close(pair[1]);
	if (n == (long)bytes)
		return own_fd(pair[0]);
	sys_close(pair[0]);
	return n == -EMSGSIZE || n >= 0 ? -EFBIG : (int)n;
}

static int file_write(const uint8_t *buf, uint64_t bytes)
{
	int fd = OWN_FD_MAKE(sys_memfd_create("vj-parcel", MFD_CLOEXEC));
	int err = fd < 0 ? fd : own_fd_write(fd, buf, bytes, 0);

	if (err >= 0)
		return fd;
	own_fd_close(fd);
	return err;
}

int deed_parcel_write(const struct vj *vj, struct tcp_id id)
{
	uint64_t bytes = tcp_export_bytes(vj->stack, id);
	uint8_t *buf = malloc(bytes);
	int fd;

	if (!buf)
		return -ENOMEM;
	tcp_export(vj->stack, id, buf);
	fd = file_write(buf, bytes);
	if (fd == -EFBIG)
		fd = message_write(buf, bytes);
	free(buf);
	return fd;
}

static int64_t parcel_bytes(int fd)
{
	struct stat st;

	if (sys_fstat(fd, &st))
		return -1;
	if (S_ISSOCK(st.st_mode))
		return sys_recvfrom(fd, NULL, 0, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT, NULL, NULL);
	return S_ISREG(st.st_mode) ? st.st_size : -1;
}

long deed_parcel_look(int fd, void *buf, uint64_t bytes, uint64_t off)
{
	long n = SYS_CALL4(SYS_pread64, fd, buf, bytes, off);

	return n == -ESPIPE && !off ? sys_recvfrom(fd, buf, bytes, MSG_PEEK | MSG_DONTWAIT, NULL, NULL) : n;
}

uint8_t *deed_parcel_read(int fd, uint64_t *ret_bytes)
{
	int64_t bytes = parcel_bytes(fd);
	uint64_t done = 0;
	uint8_t *buf;
	long n = 1;

	if (bytes < 0 || (uint64_t)bytes > TCP_PARCEL_MAX)
		return NULL;
	buf = malloc((size_t)bytes + 1);
	for (; buf && done < (uint64_t)bytes && n > 0; done += (uint64_t)n)
		n = deed_parcel_look(fd, buf + done, (uint64_t)bytes - done, done);
	if (buf && n <= 0) {
		free(buf);
		return NULL;
	}
	*ret_bytes = (uint64_t)bytes;
	return buf;
}
