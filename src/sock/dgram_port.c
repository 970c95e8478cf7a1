// SPDX-License-Identifier: BSD-2-Clause
/* dgram_port.c - which UDP sockets of ours are at a port: all of them are on channels, or none is */
#include "sock/dgram_priv.h"
#include "sock/fdtab.h"
#include "sock/file.h"

#include "lib/report.h"

#include <errno.h>
#include <netinet/in.h>

static uint32_t *at_port_be(uint16_t port_be)
{
	return &dgram_tables->at_ports[ntohs(port_be) % PORT_BUCKETS];
}

void port_set(struct dgram *d, uint16_t port_be)
{
	if (d->port_be)
		--*at_port_be(d->port_be);
	if (port_be)
		++*at_port_be(port_be);
	d->port_be = port_be;
}

/* One of ours at this port can't be on channels: what is for it must not come to the others. 0: no port */
void port_leave(uint16_t port_be, enum report_why why)
{
	bool any = port_be && *at_port_be(port_be);

	for (int fd = fd_next(0); any && fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);

		if (f->kind == FILE_SOCK && sock_of(f)->state == SOCK_UDP && sock_of(f)->dgram->open && sock_of(f)->dgram->port_be == port_be)
			dgram_stay(sock_of(f), why);
	}
}

struct at_port port_look(uint16_t port_be)
{
	struct at_port p = { .next_fd = -1 };
	uint32_t first = UINT32_MAX;
	bool any = *at_port_be(port_be);

	for (int fd = fd_next(0); any && fd >= 0; fd = fd_next(fd + 1)) {
		struct file *f = fd_peek(fd);
		const struct dgram *d = f->kind == FILE_SOCK && sock_of(f)->state == SOCK_UDP ? sock_of(f)->dgram : NULL;

		if (!d || d->port_be != port_be)
			continue;
		p.any_open |= d->open;
		p.any_stays |= d->stays;
		if (!d->open && d->bound_nr < first) {
			first = d->bound_nr;
			p.next_fd = fd;
		}
	}
	return p;
}

/* As dgram_open(), of all sockets at the port. */
int port_open(int fd, struct sock *s)
{
	struct at_port p;
	int err = 0;

	if (!s->dgram->port_be || *at_port_be(s->dgram->port_be) == 1)
		return dgram_open(fd, s);
	while (!err && (p = port_look(s->dgram->port_be)).next_fd >= 0) {
		struct sock *next = sock_of(fd_peek(p.next_fd));

		if (p.any_stays)
			dgram_stay(s, REPORT_WHY_SHARED_PORT);
		if (p.any_stays || !dgram_may_open(next)) /* ... or a thread waits for it in the kernel */
			err = -EBUSY;
		else
			err = dgram_open(p.next_fd, next);
	}
	if (err)
		port_leave(s->dgram->port_be, REPORT_WHY_SHARED_PORT);
	return err;
}
