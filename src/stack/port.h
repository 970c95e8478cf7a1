// SPDX-License-Identifier: BSD-2-Clause
/*
 * Who listens where: from a local address and port to a listener or UDP socket
 *
 * One array per protocol, indexed by the port (untouched pages cost nothing), each with a chain of
 * those on that port that hear anyone, the most specific first: an address; 0.0.0.0 or v6-only ::; :: for both families. So the
 * first match is the right one. Chains are short: a program with thousands of addresses on one port would pay for it.
 *
 * Those that hear one remote endpoint only, as connected UDP sockets do, go before all of them. A server may have one for each of its
 * clients, so they are in no chain of a port but in buckets, by a hash of port and remote that no client can foresee.
 */
#ifndef VJ_STACK_PORT_H
#define VJ_STACK_PORT_H

#include "base/addr.h"
#include "base/types.h"
#include "stack/mem.h"

enum port_proto { PORT_TCP, PORT_UDP, PORT_PROTO_CNT };

struct flow;

struct ports {
	struct pool pool;
	uint32_t *head[PORT_PROTO_CNT];
	uint32_t *connected; /* buckets */
	uint32_t connected_cnt;
	const struct flow *flows; /* has the hash's secret */
	struct mem *mem;
};

/* A place in the table, until ports_del() */
struct port_id {
	uint32_t v;
};

/* Return: 0; -ENOMEM. Then, too, ports_fini() gives back what was made. */
int ports_init(struct ports *ports, struct mem *mem, const struct flow *flows) VJ_MUST_CHECK;
void ports_fini(struct ports *ports);

/*
 * @local: Address (:: for both families, ::ffff:0.0.0.0 for IPv4) and port 1..65535
 * @flags: enum stack_listen_flags
 * @id: Not 0; what ports_find() is to return
 * Return: 0; -EADDRINUSE: same address, or both are wildcards that have a family in common, not both are SHARED or OVER, and the
 * one that is there isn't connected; -EINVAL: port 0; -ENOMEM.
 */
int ports_add(struct ports *ports, enum port_proto proto, const struct endpoint *local, unsigned flags, uint32_t id,
	      struct port_id *ret_place) VJ_MUST_CHECK;

/*
 * From now on it gets what comes from @remote only; @remote's port 0: what comes from anyone. Of several that are connected to one remote
 * it is the last.
 * Return: 0; -EADDRINUSE: it shall hear anyone, and another one does there: it stays as it was.
 */
int ports_connect(struct ports *ports, struct port_id place, const struct endpoint *remote) VJ_MUST_CHECK;

void ports_del(struct ports *ports, struct port_id place);

/* For a packet to @addr and @port. Return: id, of those that share a place the first; 0: nobody, or only who is connected. */
uint32_t ports_find(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr,
		    uint16_t port);

/* The same, of those that hear @from: connected to it, or to nobody; of those that share a place the one that @from always comes to. */
uint32_t ports_find_from(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr, uint16_t port,
			 const struct endpoint *from);

/* As ports_find(), by turns: @turn modulo as many as share the place chooses. */
uint32_t ports_pick(const struct ports *ports, enum port_proto proto, const struct ip_addr *addr, uint16_t port, uint32_t turn);

#endif
