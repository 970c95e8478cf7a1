// SPDX-License-Identifier: BSD-2-Clause
#include "tests/sim/lwip_side.h"

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/ip6_addr.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/sys.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/* ---- the library ----------------------------------------------------------------------------- */

#define FUNCTIONS(X)                                                                         \
	X(lwip_init) X(netif_add) X(netif_set_up) X(netif_set_link_up) X(netif_set_default)  \
	X(netif_ip6_addr_set) X(netif_ip6_addr_set_state) X(pbuf_alloc) X(pbuf_take)         \
	X(pbuf_free) X(pbuf_copy_partial) X(ip_input) X(sys_check_timeouts)                  \
	X(sys_timeouts_sleeptime) X(tcp_new_ip_type) X(tcp_bind) X(tcp_listen_with_backlog)  \
	X(tcp_accept) X(tcp_arg) X(tcp_recv) X(tcp_err) X(tcp_connect) X(tcp_write)          \
	X(tcp_output) X(tcp_recved) X(tcp_shutdown)

#define X(name) __typeof__(name) *name##_p;
static struct {
	FUNCTIONS(X)
} lw;
#undef X

bool lwip_load(void)
{
	void *lib = dlopen("liblwip.so.0", RTLD_NOW | RTLD_LOCAL);

	if (lib == NULL)
		return false;
#define X(name)                                             \
	*(void **)(void *)&lw.name##_p = dlsym(lib, #name); \
	if (lw.name##_p == NULL)                            \
		return false;
	FUNCTIONS(X)
#undef X
	return true;
}

static uint32_t clock_ms;

/* Of the library, which finds this one first */
u32_t sys_now(void)
{
	return clock_ms;
}

/* ---- one interface, one connection ----------------------------------------------------------- */

static struct lwip_side *side;
static struct netif netif;
static struct tcp_pcb *conn;
static ip_addr_t peer;

static err_t netif_output(struct pbuf *p)
{
	static uint8_t packet[65536];

	side->output(side->arg, packet, lw.pbuf_copy_partial_p(p, packet, p->tot_len, 0));
	return ERR_OK;
}

static err_t netif_output4(struct netif *n, struct pbuf *p, const ip4_addr_t *to)
{
	(void)n;
	(void)to;
	return netif_output(p);
}

static err_t netif_output6(struct netif *n, struct pbuf *p, const ip6_addr_t *to)
{
	(void)n;
	(void)to;
	return netif_output(p);
}

static err_t netif_begin(struct netif *n)
{
	n->mtu = 1500;
	n->output = netif_output4;
	n->output_ip6 = netif_output6;
	return ERR_OK;
}

static ip_addr_t address(bool v6, uint8_t host)
{
	ip_addr_t addr;

	if (v6)
		IP_ADDR6_HOST(&addr, 0x20010db8, 0, 0, host);
	else
		IP_ADDR4(&addr, 10, 0, 0, host);
	return addr;
}

bool lwip_start(struct lwip_side *new_side, bool v6, uint32_t seed)
{
	ip_addr_t addr = address(v6, 2), mask;

	IP_ADDR4(&mask, 255, 255, 255, 0);
	side = new_side;
	peer = address(v6, 1);
	srand(seed);
	clock_ms = 1000;
	lw.lwip_init_p();
	if (lw.netif_add_p(&netif, v6 ? NULL : ip_2_ip4(&addr), v6 ? NULL : ip_2_ip4(&mask), NULL,
			   NULL, netif_begin, lw.ip_input_p) == NULL)
		return false;
	if (v6) {
		lw.netif_ip6_addr_set_p(&netif, 0, ip_2_ip6(&addr));
		lw.netif_ip6_addr_set_state_p(&netif, 0, IP6_ADDR_PREFERRED);
	}
	lw.netif_set_default_p(&netif);
	lw.netif_set_link_up_p(&netif);
	lw.netif_set_up_p(&netif);
	return true;
}

/* ---- what it reports ------------------------------------------------------------------------- */

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	(void)arg;
	(void)pcb;
	(void)err;
	if (p == NULL) {
		side->eof = true;
		return ERR_OK;
	}
	for (struct pbuf *q = p; q != NULL; q = q->next)
		side->received(side->arg, q->payload, q->len);
	lw.pbuf_free_p(p);
	return ERR_OK;
}

static void on_err(void *arg, err_t err)
{
	(void)arg;
	(void)err;
	side->failed = true;
	conn = NULL;
}

static void take_over(struct tcp_pcb *pcb)
{
	conn = pcb;
	lw.tcp_recv_p(pcb, on_recv);
	lw.tcp_err_p(pcb, on_err);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	(void)arg;
	(void)pcb;
	(void)err;
	side->connected = true;
	return ERR_OK;
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	(void)arg;
	if (err != ERR_OK || conn != NULL)
		return ERR_ABRT;
	take_over(pcb);
	side->connected = true;
	return ERR_OK;
}

/* ---- what it is asked ------------------------------------------------------------------------ */

bool lwip_listen(uint16_t port)
{
	static const ip_addr_t any = IPADDR_ANY_TYPE_INIT;
	struct tcp_pcb *pcb = lw.tcp_new_ip_type_p(IPADDR_TYPE_ANY);

	if (pcb == NULL || lw.tcp_bind_p(pcb, &any, port) != ERR_OK)
		return false;
	pcb = lw.tcp_listen_with_backlog_p(pcb, 5);
	if (pcb == NULL)
		return false;
	lw.tcp_accept_p(pcb, on_accept);
	return true;
}

bool lwip_connect(uint16_t remote_port)
{
	struct tcp_pcb *pcb = lw.tcp_new_ip_type_p((u8_t)IP_GET_TYPE(&peer));

	if (pcb == NULL)
		return false;
	take_over(pcb);
	return lw.tcp_connect_p(pcb, &peer, remote_port, on_connected) == ERR_OK;
}

void lwip_input(const void *packet, uint32_t len)
{
	struct pbuf *p = lw.pbuf_alloc_p(PBUF_RAW, (u16_t)len, PBUF_RAM);

	if (p == NULL)
		return;
	lw.pbuf_take_p(p, packet, (u16_t)len);
	if (netif.input(p, &netif) != ERR_OK)
		lw.pbuf_free_p(p);
}

void lwip_run(uint64_t now_us)
{
	clock_ms = (uint32_t)(now_us / 1000);
	lw.sys_check_timeouts_p();
}

uint64_t lwip_deadline_us(void)
{
	u32_t ms = lw.sys_timeouts_sleeptime_p();

	return ms == SYS_TIMEOUTS_SLEEPTIME_INFINITE ? UINT64_MAX
						     : ((uint64_t)clock_ms + ms) * 1000;
}

uint32_t lwip_send(const void *data, uint32_t len)
{
	if (conn == NULL || !side->connected)
		return 0;
	len = min_u32(len, tcp_sndbuf(conn));
	if (len == 0 || lw.tcp_write_p(conn, data, (u16_t)len, TCP_WRITE_FLAG_COPY) != ERR_OK)
		return 0;
	lw.tcp_output_p(conn);
	return len;
}

void lwip_consumed(uint32_t len)
{
	for (; conn != NULL && len > 0; len -= min_u32(len, 0xffff))
		lw.tcp_recved_p(conn, (u16_t)min_u32(len, 0xffff));
}

bool lwip_shutdown(void)
{
	return conn == NULL || lw.tcp_shutdown_p(conn, 0, 1) == ERR_OK;
}
