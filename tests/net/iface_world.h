// SPDX-License-Identifier: BSD-2-Clause
/*
 * A host with a network interface, without vjd: what it would set up, done by a test
 *
 *	  client                    host                           apps
 *	┌─────────┐      wire      ┌────────────────────┐  app1   ┌──────────────────┐
 *	│ kernel  │1──────────────0│ dispatch    gate   │h───────a│ deliver  AF_XDP  │
 *	└─────────┘                └────────────────────┘         └──────────────────┘
 *
 * Three network namespaces of this process; the calling thread is in that of the host afterwards. Nothing outside is
 * touched, and all is gone with the process. Addresses: 10.9.0.1 and 2001:db8:9::1 the client, .2 and ::2 the host.
 */
#ifndef VJ_TESTS_NET_IFACE_WORLD_H
#define VJ_TESTS_NET_IFACE_WORLD_H

#include "base/addr.h"
#include "driver/afxdp.h"
#include "policy/maps.h"

#define IFACE_MTU 1500
#define IFACE_PATIENT_S 30 /* what has to come at some time is waited for so long: the machine may be busy */

struct vj_dispatch;
struct vj_deliver;
struct vj_gate;

enum iface_side { IFACE_CLIENT = 1, IFACE_HOST = 2 }; /* also the last byte of its addresses */

struct iface_world {
	int host_ns, client_ns, apps_ns;
	uint32_t ifindex; /* the host's end of the wire */
	struct mac_addr host_mac, client_mac;
	struct vj_dispatch *dispatch; /* NULL: not attached */
	struct vj_gate *gate;
};

struct iface_app {
	uint32_t id;
	uint32_t host_ifindex, app_ifindex;
	struct vj_deliver *deliver;
	struct afxdp_params params; /* with the descriptors, which are the application's */
};

/*
 * A wire between client and host, its ends up and with addresses, without offloads.
 * Return: NULL, or what this machine does not allow; errno says why.
 */
const char *iface_world_open(struct iface_world *w);

/* dispatch on the host's end, and gate loaded. */
void iface_dispatch(struct iface_world *w);

/* An application with a device, deliver, its place in gate, and a socket. @frame_cnt: in all; @spill_max: as in policy_deliver_cfg */
void iface_app_open(struct iface_world *w, struct iface_app *app, uint32_t id, uint32_t frame_bytes, uint32_t frame_cnt,
		    uint32_t spill_max);

/* A socket on queue 0 of @ifindex, in the current namespace, with memory and rings for @frame_cnt frames; the programs that
 * feed it are the caller's matter. */
struct afxdp_params iface_socket(uint32_t ifindex, uint32_t frame_bytes, uint32_t frame_cnt);

/* @app has a port of the host's addresses. @group: POLICY_OWNER_GROUP, and beside those that have it */
void iface_port(struct iface_world *w, const struct ip_addr *addr, uint8_t proto, uint16_t port, uint32_t app, bool group);

/* The application has died: its device is gone, and dispatch knows. What it has mapped it unmaps itself. */
void iface_app_close(struct iface_world *w, struct iface_app *app);

/* Takes dispatch off the wire. */
void iface_dispatch_off(struct iface_world *w);
void iface_world_close(struct iface_world *w);

struct ip_addr iface_addr(enum iface_side side, bool v6);

/* The calling thread moves to that namespace: for sockets, which stay in the one in which they were made. */
void iface_enter(int ns);

/* Counters, all processors together. */
uint64_t iface_dispatch_count(const struct iface_world *w, enum policy_reason reason);
uint64_t iface_deliver_count(const struct iface_app *app, enum policy_reason reason);
uint64_t iface_gate_count(const struct iface_world *w, const struct iface_app *app, enum policy_reason reason);
void iface_deliver_state(const struct iface_app *app, struct policy_deliver_state *ret_state);
/* As if it had been too slow at @flood_ns, of CLOCK_MONOTONIC; while no frames come. */
void iface_deliver_flood(const struct iface_app *app, uint64_t flood_ns);

/* Writes that only a hostile application makes: into its credit, and garbage in all that its rings have. */
void iface_credit_set(const struct iface_app *app, uint32_t posted);
void iface_garbage(const struct iface_app *app);

/* A kernel UDP socket in the client, bound to @port and connected to @to of the host; times out after a second. */
int iface_client_udp(struct iface_world *w, bool v6, uint16_t port, uint16_t to);

/* A kernel UDP socket of the host, on @port of all addresses; times out after a second. */
int iface_host_udp(uint16_t port);

/* A kernel TCP socket of that host's address, bound to @port (0: any); accepts, receives and connects for a second at most. */
int iface_tcp(struct iface_world *w, enum iface_side side, bool v6, uint16_t port);

/* connect(2) to @port of the host. Return: 0; -1 and errno */
int iface_connect(int fd, bool v6, uint16_t port);

/* A command that must succeed, in the current namespace. */
void iface_run(const char *fmt, ...) VJ_PRINTF(1, 2);

#endif
