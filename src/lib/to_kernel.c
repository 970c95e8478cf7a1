// SPDX-License-Identifier: BSD-2-Clause
#include "lib/to_kernel.h"

#include "channel/sys.h"
#include "lib/iflink.h"
#include "lib/kernel_option.h"
#include "lib/move.h"
#include "lib/own_fd.h"
#include "stack/tcp_leave.h"
#include "stack/tcp_move.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <syslog.h>

_Static_assert(CTL_REPAIR_QUEUE_MAX <= INT32_MAX, "sums of two don't overflow");

static struct ctl_repair repair_of(const struct tcp_place *at, uint32_t ifindex, bool sock6)
{
	struct ctl_repair r = {
		.local_port = at->local.port,
		.remote_port = at->remote.port,
		.ifindex = ifindex,
		.flags = (sock6 || !ip_addr_is_v4(&at->local.addr) ? CTL_REPAIR_SOCK6 : 0u) | (at->sack ? CTL_REPAIR_SACK : 0u) |
			 (at->timestamps ? CTL_REPAIR_TIMESTAMPS : 0u) | (at->fin ? CTL_REPAIR_FIN : 0u) |
			 (at->fin_sent ? CTL_REPAIR_FIN_SENT : 0u) | (at->fin_acked ? CTL_REPAIR_FIN_ACKED : 0u) | (at->fin_rcvd ? CTL_REPAIR_FIN_RCVD : 0u),
		.rcv_seq = at->rcv_seq,
		.rcv_bytes = at->rcv_bytes,
		.snd_seq = at->snd_seq,
		.snd_bytes = at->snd_bytes,
		.sent_bytes = at->sent_bytes,
		.rcv_acked = at->rcv_acked,
		.rcv_wnd = at->rcv_wnd,
		.snd_wnd = at->snd_wnd,
		.ts = at->ts,
		.mss = at->mss,
		.snd_wscale = at->snd_wscale,
		.rcv_wscale = at->rcv_wscale,
	};

	memcpy(r.local, at->local.addr.bytes, sizeof(r.local));
	memcpy(r.remote, at->remote.addr.bytes, sizeof(r.remote));
	return r;
}

/* Return: a sealed memfd; -errno. */
static int write_queues(const struct vj *vj, struct tcp_id id, uint64_t bytes)
{
	int fd = OWN_FD_MAKE(sys_memfd_create("vj-queues", MFD_CLOEXEC | MFD_ALLOW_SEALING));
	uint8_t *buf = fd < 0 ? NULL : malloc(bytes + 1);
	int err = fd < 0 ? fd : buf ? 0 : -ENOMEM;

	if (buf) {
		tcp_place_queues(vj->stack, id, buf);
		err = own_fd_write(fd, buf, bytes, 0);
	}
	free(buf);
	if (!err)
		err = (int)sys_fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	if (!err)
		return fd;
	own_fd_close(fd);
	return err;
}

/* ---- asking ------------------------------------------------------------------------------------------------------ */

/* Also if nobody here has noticed yet. What vjd has never read is no reason to give a connection up. */
static bool is_vjd_away(struct vj *vj)
{
	struct pollfd pfd = { 0 };

	if (!vj->ctl)
		return true;
	pfd.fd = ctl_client_fd(vj->ctl);
	if (sys_poll_ms(&pfd, 1, 0) <= 0 || !(pfd.revents & (POLLHUP | POLLERR)))
		return false;
	vj->ctl_next_ns = 0; /* control_poll() is to see it */
	return true;
}

static int ask(struct vj *vj, struct tcp_id id, const struct ctl_repair *conn, int *ret_fd)
{
	int queues = write_queues(vj, id, conn->rcv_bytes + conn->snd_bytes), err;

	if (queues < 0)
		return queues;
	err = control_done(vj, ctl_client_to_kernel(vj->ctl, conn, queues, ret_fd));
	own_fd_close(queues);
	if (err == -EBUSY) /* too many requests a second */
		return -EAGAIN;
	/* vjd may have done it, and the socket is lost; or not */
	if (err == -ETIMEDOUT || err == -EMFILE || err == -EAGAIN || !vj->ctl)
		tcp_fail(vj->stack, id, ECONNRESET);
	return err;
}

int to_kernel(struct vj *vj, struct tcp_id id, bool sock6, int *ret_fd)
{
	struct vj_link *link = move_link_of(vj, id);
	struct kernel_options options;
	struct ctl_repair conn;
	struct tcp_place at;
	uint64_t begun_ns;
	int err = tcp_place(vj->stack, id, &at);

	if (err)
		return err;
	if (!link || !link->ifl)
		return -EOPNOTSUPP;
	if (at.rcv_bytes > CTL_REPAIR_QUEUE_MAX || at.snd_bytes > CTL_REPAIR_QUEUE_MAX)
		return -EMSGSIZE;
	if (is_vjd_away(vj))
		return -EAGAIN;
	link_publish_all(vj); /* what was said goes before what the kernel says */
	conn = repair_of(&at, iflink_said(link->ifl)->ifindex, sock6);
	kernel_options_read(vj, (struct vj_conn){ id.v }, &options);
	begun_ns = lib_clock_ns();
	err = ask(vj, id, &conn, ret_fd);
	if (err)
		return err;
	lib_log(vj, LOG_INFO, "a connection has become the kernel's, with %u bytes unread and %u not acknowledged, in %u us", conn.rcv_bytes,
		conn.snd_bytes, (unsigned)((lib_clock_ns() - begun_ns) / 1000));
	tcp_leave(vj->stack, id);
	ports_to_kernel(vj, at.local.port);
	kernel_options_set(*ret_fd, &options, ip_addr_is_v4(&at.local.addr), sock6);
	return 0;
}
