// SPDX-License-Identifier: BSD-2-Clause
/*
 * why.c - which way each socket of this process takes, and why not a channel: what `vj why` shows
 *
 * A socket that this layer knows carries its reason (sock.why). One that was given to the kernel is not known any more, so
 * its reason is noted by descriptor, until that is closed or becomes another's. A close that nobody can interpose (fclose()) leaves the note
 * behind, for the next socket of the kernel's that gets the number, if it isn't made by a call of this layer's either.
 */
#include "sock/dgram.h"
#include "sock/family.h"
#include "sock/fdtab.h"
#include "sock/file.h"
#include "sock/fork_server.h"
#include "sock/kernel.h"
#include "sock/layer.h"
#include "sock/process.h"
#include "sock/why.h"

#include "lib/lease_scope.h"
#include "lib/report.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

VJ_EARLY void why_note(int fd, enum report_why why)
{
	_Atomic uint8_t *note = fd_note_make(fd);

	if (note)
		atomic_store_explicit(note, (uint8_t)why, memory_order_relaxed);
}

/* A child of vfork() closes its own. */
VJ_EARLY void why_forget_noted(int fd)
{
	if (!is_foreign())
		atomic_store_explicit(fd_note_of(fd), REPORT_WHY_NONE, memory_order_relaxed);
}

enum report_why why_of_error(long err)
{
	switch (err) {
	case -EHOSTUNREACH:
		return REPORT_WHY_NO_OWNER;
	case -ENETUNREACH:
		return REPORT_WHY_ROUTES;
	case -EACCES:
		return REPORT_WHY_REFUSED;
	case -EPERM:
		return REPORT_WHY_BOUND;
	case -ENOENT:
	case -ECONNREFUSED:
	case -ENOTCONN:
		return REPORT_WHY_NO_VJD;
	case -ETIMEDOUT:
	case -EINTR:
	case -EAGAIN:
		return REPORT_WHY_SILENT;
	case -EHOSTDOWN:
		return REPORT_WHY_UNANSWERED;
	case -EPROTO:
		return REPORT_WHY_VERSION;
	case -EADDRINUSE:
		return REPORT_WHY_PORT_TAKEN;
	case -EMFILE:
	case -ENFILE:
		return REPORT_WHY_DESCRIPTORS;
	case -ENOMEM:
	case -ENOBUFS:
	case -ENOSPC:
	case -EUSERS:
	case -EBUSY:
	case -EADDRNOTAVAIL:
		return REPORT_WHY_QUOTA;
	default:
		return REPORT_WHY_OTHER;
	}
}

const char *why_text(enum report_why why)
{
	switch (why) { /* no table: it would be relocated at the start of each program */
#define X(name, text)           \
	case REPORT_WHY_##name: \
		return text;
		REPORT_WHYS(X)
#undef X
	default:
		return "";
	}
}

bool why_passes(enum report_why why)
{
	return why == REPORT_WHY_NO_VJD || why == REPORT_WHY_SILENT || why == REPORT_WHY_PORT_TAKEN || why == REPORT_WHY_DESCRIPTORS ||
	       why == REPORT_WHY_QUOTA;
}

void *why_mark(const char *name)
{
	int fd = sys_memfd_create(name, MFD_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 1, PROT_NONE, MAP_SHARED, fd, 0); /* beyond its end: to make it longer may end the program (RLIMIT_FSIZE) */

	sys_close(fd);
	return p == MAP_FAILED ? NULL : p;
}

/* ---- the report ------------------------------------------------------------------------------------------------ */

static struct ctl_endpoint endpoint_of(const struct sockaddr_storage *a, enum ctl_proto proto)
{
	struct ctl_endpoint ep = { .proto = (uint8_t)proto };

	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;

		memcpy(ep.addr, &in6->sin6_addr, sizeof(ep.addr));
		ep.port = ntohs(in6->sin6_port);
	} else {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a;

		ep.addr[10] = ep.addr[11] = 0xff;
		memcpy(&ep.addr[12], &in->sin_addr, 4);
		ep.port = ntohs(in->sin_port);
	}
	return ep;
}

static void describe_tcp(const struct sock *s, struct report_sock *r)
{
	struct sockaddr_storage local, remote;

	switch ((enum sock_state)s->state) {
	case SOCK_CONNECTING:
	case SOCK_CONNECTED:
		r->way = REPORT_WAY_CHANNEL;
		vj_conn_addrs(sock.vj, s->conn, &local, &remote);
		r->local = endpoint_of(&local, CTL_PROTO_TCP);
		r->remote = endpoint_of(&remote, CTL_PROTO_TCP);
		break;
	case SOCK_LISTEN:
		r->way = s->has_listener && !fork_server_rest() && !family_rests() ? REPORT_WAY_BOTH : REPORT_WAY_KERNEL;
		if (s->has_listener && sock.vj)
			lease_scope_interfaces(sock.vj, CTL_PROTO_TCP, s->listener.v, r->ifindex, REPORT_INTERFACES);
		if (s->has_listener && fork_server_rest())
			r->why = (uint8_t)fork_server_rest();
		else if (s->has_listener && family_rests())
			r->why = REPORT_WHY_TURNS;
		else if (s->has_listener && s->on_trial)
			r->why = sock.hands_over ? REPORT_WHY_HANDS_OVER : REPORT_WHY_TRIAL;
		else if (s->has_listener && s->own_mtu_mode)
			r->why = REPORT_WHY_OPTION;
		else if (!s->has_listener)
			r->why = s->why ? s->why : REPORT_WHY_NOT_ACCEPTING;
		break;
	default:
		r->way = REPORT_WAY_NONE;
		r->why = s->state == SOCK_DEAD ? REPORT_WHY_CUT_OFF : REPORT_WHY_UNDECIDED;
	}
}

static void describe(int fd, const struct sock *s, struct report_sock *r)
{
	*r = (struct report_sock){ .fd = fd };
	if (s->state != SOCK_UDP) {
		describe_tcp(s, r);
	} else if (s->dgram->open) {
		r->way = REPORT_WAY_BOTH;
		r->why = s->dgram->parcel ? REPORT_WHY_COPIED : REPORT_WHY_NONE;
		if (sock.vj)
			lease_scope_interfaces(sock.vj, CTL_PROTO_UDP, s->dgram->udp.v, r->ifindex, REPORT_INTERFACES);
	} else {
		r->way = REPORT_WAY_KERNEL;
		r->why = s->dgram->heir ? REPORT_WHY_COPY : s->dgram->stays ? s->why : REPORT_WHY_UNUSED;
	}
}

static bool is_internet(int fd)
{
	int family = AF_UNSPEC;
	socklen_t len = sizeof(family);

	return !sys_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) && (family == AF_INET || family == AF_INET6);
}

/* Those that have left the table */
static void tell_given_up(struct report_sheet *sheet)
{
	for (int fd = fd_next_used(0); fd >= 0; fd = fd_next_used(fd + 1)) {
		const _Atomic uint8_t *note = fd_note_of(fd);
		struct report_sock r = { .fd = fd, .way = REPORT_WAY_KERNEL, .why = note ? atomic_load_explicit(note, memory_order_relaxed) : 0 };

		if (r.why && !fd_peek(fd) && is_internet(fd))
			report_add(sheet, &r);
	}
}

static void tell(struct report_sheet *sheet)
{
	struct report_sock r;

	for (int fd = fd_next(0); fd >= 0; fd = fd_next(fd + 1)) {
		const struct file *f = fd_peek(fd);

		r = (struct report_sock){ .fd = fd, .way = REPORT_WAY_OURS };
		if (f->kind == FILE_SOCK)
			describe(fd, sock_of(fd_peek(fd)), &r);
		if (f->kind != FILE_EPOLL)
			report_add(sheet, &r);
	}
	tell_given_up(sheet);
}

VJ_EARLY void why_init(void)
{
	report_socks_hook = tell;
}
