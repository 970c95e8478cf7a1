// SPDX-License-Identifier: BSD-2-Clause
#include "cli/bench_lwip_lib.h"

#include "base/time.h"
#include "channel/area_map.h"
#include "channel/sys.h"

#include <vj/channel.h>

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/pbuf.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PORT = 7, MTU = 1500, BATCH = 32, TIMERS_EVERY = 1024, SETUP_S = 30, BACKLOG = 255 };

/* ---- the channel of this run ---------------------------------------------------------------------------------------- */

static const struct vj_area_params params = VJ_AREA_PARAMS_DEFAULT;
static int area_fd = -1;

static int prepare(void)
{
	return area_create("vj-bench-lwip", &params, AREA_PAGES_HUGETLB, &area_fd, NULL);
}

static void done(void)
{
	if (area_fd >= 0)
		sys_close(area_fd);
	area_fd = -1;
}

/* ---- one process's lwIP --------------------------------------------------------------------------------------------- */

struct lwip_conn {
	struct tcp_pcb *pcb; /* NULL: none, or it failed */
	struct pbuf *came;   /* not read yet */
	size_t read;	     /* bytes of its first buffer that were */
	uint32_t idx; /* NET_LISTENER: it waits to be taken */
	bool up, eof, listed; /* listed: among those to be named by poll() */
	bool gone;	      /* hung up: not to be named any more */
};

struct lwip_net {
	struct vj_channel *ch;
	struct netif netif;
	struct lwip_conn *conns;
	uint32_t *listed, listed_cnt;
	struct lwip_conn waiting[BACKLOG]; /* accepted by lwIP, not taken yet: they have no index, and data may come */
	unsigned waiting_cnt, polls;
	uint32_t up; /* connections made */
	bool told;   /* that somebody waits */
};

static int failed(struct net *net, const char *what, int rc)
{
	net->failed = what;
	return rc;
}

static void list(struct net *net, struct lwip_conn *conn)
{
	struct lwip_net *l = net->priv;

	if (conn->listed || conn->idx == NET_LISTENER)
		return;
	conn->listed = true;
	l->listed[l->listed_cnt++] = conn->idx;
}

/* Full: TCP will send it again. */
static err_t netif_output(struct netif *netif, struct pbuf *p, const ip4_addr_t *to)
{
	struct net *net = netif->state;
	struct lwip_net *l = net->priv;
	struct vj_buf buf;

	(void)to;
	if (vj_channel_tx_get(l->ch, &buf, 1) == 0)
		return ERR_MEM;
	buf.len = pbuf_copy_partial(p, buf.data, p->tot_len, 0);
	vj_channel_tx_put(l->ch, &buf, 1);
	return ERR_OK;
}

static err_t netif_begin(struct netif *netif)
{
	netif->mtu = MTU;
	netif->output = netif_output;
	return ERR_OK;
}

static void receive(struct net *net)
{
	struct lwip_net *l = net->priv;
	struct vj_buf bufs[BATCH];
	unsigned n = vj_channel_rx(l->ch, bufs, BATCH);

	for (unsigned i = 0; i < n; i++) {
		struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16_t)bufs[i].len, PBUF_RAM);

		if (p == NULL)
			continue;
		pbuf_take(p, bufs[i].data, (u16_t)bufs[i].len);
		if (ip_input(p, &l->netif) != ERR_OK)
			pbuf_free(p);
	}
	vj_channel_rx_free(l->ch, bufs, n);
}

static void progress(struct net *net)
{
	struct lwip_net *l = net->priv;

	receive(net);
	if (l->polls++ % TIMERS_EVERY == 0)
		sys_check_timeouts();
	vj_channel_tx_publish(l->ch);
}

static void address(ip_addr_t *ret_addr, unsigned end)
{
	IP_ADDR4(ret_addr, 10, 0, 0, (u8_t)(1 + end));
}

/* End 0 is the server's. */
static int attach(struct net *net, unsigned end)
{
	struct vj_channel_options opts = VJ_CHANNEL_OPTIONS_INIT;
	struct lwip_net *l = net->priv;
	struct area_mapping map;
	ip_addr_t addr, mask;
	int rc;

	if (l->ch != NULL)
		return 0;
	rc = area_map(area_fd, &params, &map);
	if (rc < 0)
		return failed(net, "area", rc);
	opts.area = map.mem;
	opts.area_bytes = map.bytes;
	opts.params = params;
	opts.end = end;
	opts.wake_fd = -1; /* nobody sleeps */
	rc = vj_channel_attach(&opts, &l->ch);
	if (rc < 0)
		return failed(net, "channel", rc);
	lwip_init();
	address(&addr, end);
	IP_ADDR4(&mask, 255, 255, 255, 0);
	if (netif_add(&l->netif, ip_2_ip4(&addr), ip_2_ip4(&mask), NULL, net, netif_begin, ip_input) == NULL)
		return failed(net, "netif_add", -ENOMEM);
	netif_set_default(&l->netif);
	netif_set_link_up(&l->netif);
	netif_set_up(&l->netif);
	return 0;
}

static int lwip_open(struct net *net)
{
	struct lwip_net *l = calloc(1, sizeof(*l));

	net->priv = l;
	net->spins = true;
	if (l == NULL)
		return failed(net, "memory", -ENOMEM);
	l->conns = calloc(net->cnt, sizeof(*l->conns));
	l->listed = calloc(net->cnt, sizeof(*l->listed));
	if (l->conns == NULL || l->listed == NULL)
		return failed(net, "memory", -ENOMEM);
	for (uint32_t i = 0; i < net->cnt; i++)
		l->conns[i].idx = i;
	return 0;
}

/* ---- what lwIP tells ------------------------------------------------------------------------------------------------ */

/* Callbacks know the connection; the process has one net. */
static struct net *the_net;

static err_t on_recv(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct lwip_conn *conn = arg;

	(void)pcb;
	(void)err;
	if (p == NULL)
		conn->eof = true;
	else if (conn->came == NULL)
		conn->came = p;
	else
		pbuf_cat(conn->came, p);
	list(the_net, conn);
	return ERR_OK;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	(void)pcb;
	(void)len;
	list(the_net, arg);
	return ERR_OK;
}

static void on_err(void *arg, err_t err)
{
	struct lwip_conn *conn = arg;

	(void)err;
	conn->pcb = NULL; /* lwIP has freed it */
	list(the_net, conn);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct lwip_conn *conn = arg;

	(void)pcb;
	(void)err;
	conn->up = true;
	((struct lwip_net *)the_net->priv)->up++;
	list(the_net, conn);
	return ERR_OK;
}

static void adopt(struct lwip_conn *conn, struct tcp_pcb *pcb)
{
	*conn = (struct lwip_conn){ .pcb = pcb, .idx = conn->idx, .listed = conn->listed };
	tcp_nagle_disable(pcb);
	tcp_arg(pcb, conn);
	tcp_recv(pcb, on_recv);
	tcp_sent(pcb, on_sent);
	tcp_err(pcb, on_err);
}

static err_t on_accept(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct lwip_net *l = the_net->priv;
	struct lwip_conn *conn;

	(void)arg;
	if (err != ERR_OK || l->waiting_cnt == BACKLOG)
		return ERR_ABRT;
	tcp_backlog_delayed(pcb);
	conn = &l->waiting[l->waiting_cnt++];
	conn->idx = NET_LISTENER;
	conn->listed = false;
	adopt(conn, pcb);
	l->told = false;
	return ERR_OK;
}

/* ---- net_ops -------------------------------------------------------------------------------------------------------- */

static int lwip_listen(struct net *net, uint16_t *ret_port)
{
	struct tcp_pcb *pcb;
	int rc = attach(net, 0);

	if (rc < 0)
		return rc;
	the_net = net;
	pcb = tcp_new_ip_type(IPADDR_TYPE_V4);
	if (pcb == NULL || tcp_bind(pcb, IP4_ADDR_ANY, PORT) != ERR_OK)
		return failed(net, "tcp_bind", -ENOMEM);
	pcb = tcp_listen_with_backlog(pcb, BACKLOG);
	if (pcb == NULL)
		return failed(net, "tcp_listen", -ENOMEM);
	tcp_accept(pcb, on_accept);
	*ret_port = PORT;
	return 0;
}

static int lwip_take(struct net *net, uint32_t conn)
{
	struct lwip_net *l = net->priv;
	struct lwip_conn *to = &l->conns[conn];
	bool listed = to->listed;

	if (l->waiting_cnt == 0)
		return -EAGAIN;
	*to = l->waiting[--l->waiting_cnt];
	to->idx = conn;
	to->listed = listed;
	list(net, to);
	if (to->pcb == NULL) /* gone already: whoever reads it is told */
		return 0;
	tcp_backlog_accepted(to->pcb);
	tcp_arg(to->pcb, to);
	return 0;
}

static int lwip_accept(struct net *net)
{
	uint64_t late_ns = sys_clock_ns() + SETUP_S * NS_PER_SEC;
	uint32_t have = 0;

	while (have < net->cnt) {
		progress(net);
		while (have < net->cnt && lwip_take(net, have) == 0)
			have++;
		if (sys_clock_ns() > late_ns)
			return failed(net, "accepting", -ETIMEDOUT);
	}
	return 0;
}

static int lwip_dial(struct net *net, uint32_t conn, uint16_t port)
{
	struct lwip_net *l = net->priv;
	struct tcp_pcb *pcb;
	ip_addr_t peer;
	int rc = attach(net, 1);

	if (rc < 0)
		return rc;
	the_net = net;
	pcb = tcp_new_ip_type(IPADDR_TYPE_V4);
	if (pcb == NULL)
		return failed(net, "tcp_new", -ENOMEM);
	adopt(&l->conns[conn], pcb);
	address(&peer, 0);
	if (tcp_connect(pcb, &peer, port, on_connected) != ERR_OK)
		return failed(net, "tcp_connect", -EADDRNOTAVAIL);
	return 0;
}

static int lwip_connect(struct net *net, uint16_t port)
{
	uint64_t late_ns = sys_clock_ns() + SETUP_S * NS_PER_SEC;
	struct lwip_net *l = net->priv;

	for (uint32_t i = 0; i < net->cnt; i++) {
		int rc = lwip_dial(net, i, port);

		if (rc < 0)
			return rc;
		progress(net);
	}
	while (l->up < net->cnt) {
		progress(net);
		if (sys_clock_ns() > late_ns)
			return failed(net, "connecting", -ETIMEDOUT);
	}
	return 0;
}

static int lwip_poll(struct net *net, uint32_t *ret_conns, unsigned n)
{
	struct lwip_net *l = net->priv;
	unsigned cnt = 0;

	progress(net);
	if (l->waiting_cnt != 0 && !l->told && n > 0) {
		l->told = true;
		ret_conns[cnt++] = NET_LISTENER;
	}
	while (cnt < n && l->listed_cnt > 0) {
		struct lwip_conn *conn = &l->conns[l->listed[--l->listed_cnt]];

		conn->listed = false;
		if (!conn->gone)
			ret_conns[cnt++] = conn->idx;
	}
	return (int)cnt;
}

static ssize_t lwip_recv(struct net *net, uint32_t idx, void *buf, size_t len)
{
	struct lwip_net *l = net->priv;
	struct lwip_conn *conn = &l->conns[idx];
	size_t done = 0;

	while (done < len && conn->came != NULL) {
		struct pbuf *p = conn->came;
		size_t now = min_size(len - done, p->len - conn->read);

		memcpy((uint8_t *)buf + done, (uint8_t *)p->payload + conn->read, now);
		conn->read += now;
		done += now;
		if (conn->read < p->len)
			break;
		conn->came = p->next;
		conn->read = 0;
		if (p->next != NULL)
			pbuf_ref(p->next);
		pbuf_free(p);
	}
	if (done > 0 && conn->pcb != NULL)
		tcp_recved(conn->pcb, (u16_t)min_size(done, UINT16_MAX));
	if (done > 0)
		return (ssize_t)done;
	return conn->eof ? 0 : conn->pcb == NULL ? -ECONNRESET : -EAGAIN;
}

static ssize_t lwip_send(struct net *net, uint32_t idx, const void *buf, size_t len)
{
	struct lwip_net *l = net->priv;
	struct lwip_conn *conn = &l->conns[idx];
	size_t now;

	if (conn->pcb == NULL)
		return -ECONNRESET;
	now = min_size(len, min_size(tcp_sndbuf(conn->pcb), UINT16_MAX));
	if (now == 0 || tcp_write(conn->pcb, buf, (u16_t)now, TCP_WRITE_FLAG_COPY) != ERR_OK)
		return -EAGAIN;
	tcp_output(conn->pcb);
	vj_channel_tx_publish(l->ch);
	return (ssize_t)now;
}

static void lwip_hang_up(struct net *net, uint32_t idx)
{
	struct lwip_net *l = net->priv;
	struct lwip_conn *conn = &l->conns[idx];

	if (conn->came != NULL)
		pbuf_free(conn->came);
	conn->came = NULL;
	if (conn->pcb != NULL) {
		tcp_arg(conn->pcb, NULL);
		tcp_recv(conn->pcb, NULL);
		tcp_sent(conn->pcb, NULL);
		tcp_err(conn->pcb, NULL);
		if (tcp_close(conn->pcb) != ERR_OK)
			tcp_abort(conn->pcb);
	}
	conn->pcb = NULL;
	conn->gone = true;
	vj_channel_tx_publish(l->ch);
}

static void lwip_close(struct net *net)
{
	struct lwip_net *l = net->priv;
	uint64_t end_ns = sys_clock_ns() + 100 * NS_PER_MS;

	for (uint32_t i = 0; i < net->cnt; i++)
		lwip_hang_up(net, i);
	while (sys_clock_ns() < end_ns) /* until what was sent has arrived */
		progress(net);
	free(l->conns);
	free(l->listed);
	free(l);
}

static const struct net_ops net_lwip = {
	.open = lwip_open,
	.close = lwip_close,
	.listen = lwip_listen,
	.accept = lwip_accept,
	.connect = lwip_connect,
	.take = lwip_take,
	.dial = lwip_dial,
	.poll = lwip_poll,
	.recv = lwip_recv,
	.send = lwip_send,
	.hang_up = lwip_hang_up,
};

extern const struct bench_lwip bench_lwip;
__attribute__((visibility("default"))) const struct bench_lwip bench_lwip = { .ops = &net_lwip, .prepare = prepare, .done = done };
