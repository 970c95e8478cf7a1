// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who listens where: from a local address and port to a listener or UDP socket
 *
 * One array per protocol, indexed by the port (untouched pages cost nothing), each with a chain of
 * those on that port, the most specific first: a remote endpoint, as connected UDP sockets have; an address; 0.0.0.0
 * or v6-only ::; :: for both families. So the first match is the right one. Chains are short: a program with thousands of
 * addresses or connected sockets on one port would pay for it.
 */
#ifndef VJ_STACK_PORT_H
#define VJ_STACK_PORT_H

#include "base/addr.h"
#include "base/types.h"
#include "stack/mem.h"

enum port_proto { PORT_TCP, PORT_UDP, PORT_PROTO_CNT };

struct ports {
	struct pool pool;
	uint32_t *head[PORT_PROTO_CNT];
	struct mem *mem;
};

int ports_init(struct ports *ports, struct mem *mem);
void ports_fini(struct ports *ports);

/*
 * @local: Address (:: for both families, ::ffff:0.0.0.0 for IPv4) and port 1..65535
 * @flags: enum stack_listen_flags
 * @id: Not 0; what ports_find() is to return
 * Return: 0; -EADDRINUSE: same address, or both are wildcards that have a family in common, not both are SHARED, and the
 * one that is there isn't connected; -EINVAL: port 0; -ENOMEM.
 */
int ports_add(struct ports *ports, enum port_proto proto, const struct endpoint *local, unsigned flags,
	      uint32_t id) VJ_MUST_CHECK;

/*
 * What comes from @remote only is for @id from now on; @remote's port 0: what comes from anyone. @id must be there under
 * @port. Return: 0; -EADDRINUSE: it shall hear anyone, and another one does there: it stays as it was.
 */
int ports_connect(struct ports *ports, enum port_proto proto, uint16_t port, uint32_t id,
		  const struct endpoint *remote) VJ_MUST_CHECK;

/* @id must be there under @port. */
void ports_del(struct ports *ports, enum port_proto proto, uint16_t port, uint32_t id);

/* For a packet to @addr and @port. Return: id, of those that share a place the first; 0: nobody. */
uint32_t ports_find(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr,
		    uint16_t port);

/* The same, of those that hear @from: connected to it, or to nobody. */
uint32_t ports_find_from(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr, uint16_t port,
			 const struct endpoint *from);

/* The same by turns: @turn modulo as many as share the place chooses. */
uint32_t ports_pick(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr, uint16_t port, uint32_t turn);

#endif
