// SPDX-License-Identifier: BSD-2-Clause
#include "daemon/lan_end.h"

#include "daemon/parp_keys.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

enum {
	FRAMES_PER_RUN = 64,
	E2_SCALE = 20, /* times as much may be said where nobody counts ARP */
};

static void on_send(void *arg, const struct parp_msg *msg)
{
	struct lan_end *e = arg;
	uint8_t frame[PARP_FRAME_MAX];
	size_t len = parp_build(frame, &e->codec, msg);

	if (len > 0)
		lan_sock_send(&e->sock, frame, len);
}

static uint64_t on_random(void *arg)
{
	const struct lan_end *e = arg;
	uint64_t bits;

	e->d->ops->random(&bits, sizeof(bits));
	return bits;
}

static const struct lan_ops lan_ops = { on_send, on_random };

static struct parp_config codec_of(const struct vjd_lan_config *cfg)
{
	struct parp_config codec = PARP_CONFIG_DEFAULT;

	if (cfg->keys == NULL)
		return codec;
	codec.auth_required = true;
	codec.key_cnt = cfg->keys->cnt;
	codec.keys = cfg->keys->keys;
	return codec;
}

int lan_end_open(const struct vjd *d, uint32_t ifindex, enum lan_asker asker, struct lan_end *e)
{
	const struct vjd_lan_config *cfg = &d->cfg.lan;

	*e = (struct lan_end){ .d = d, .codec = codec_of(cfg) };
	e->host = (struct lan_host){ .ops = &lan_ops, .arg = e, .encoding = cfg->e2 ? PARP_E2 : PARP_E1, .asker = (uint8_t)asker };
	lan_host_init(&e->host, cfg->e2 ? E2_SCALE : 1);
	return lan_sock_open(ifindex, &e->codec, &e->sock);
}

void lan_end_close(struct lan_end *e)
{
	lan_sock_close(&e->sock);
}

int lan_end_fd(const struct lan_end *e)
{
	return e->sock.epoll_fd;
}

int lan_end_ask(struct lan_end *e, struct if_ask_config cfg, struct if_ask **ret_ask)
{
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	cfg.host = &e->host;
	r = if_ask_new(&cfg, ret_ask);
	if (r < 0)
		return r;
	return epoll_ctl(e->sock.epoll_fd, EPOLL_CTL_ADD, if_ask_fd(*ret_ask), &event) == 0 ? 0 : -errno;
}

void lan_end_follow(struct lan_end *e, const struct host_image *image, const uint8_t mac[static 6])
{
	memcpy(e->host.canonical.bytes, mac, sizeof(e->host.canonical.bytes));
	e->host.link_local = ip_addr_any_v6();
	for (uint32_t a = 0; a < image->addr_cnt; a++)
		if (image->addrs[a].ifindex == e->sock.ifindex && ip_addr_is_link_local(&image->addrs[a].addr) &&
		    !ip_addr_is_v4(&image->addrs[a].addr))
			e->host.link_local = image->addrs[a].addr;
}

void lan_end_hear(struct lan_end *e, uint64_t now_us, lan_heard_fn *heard, void *arg)
{
	uint8_t frame[PARP_FRAME_MAX];
	struct parp_msg msg;
	enum parp_err err;
	size_t len;

	for (unsigned k = 0; k < FRAMES_PER_RUN; k++) {
		len = lan_sock_read(&e->sock, frame, sizeof(frame), now_us);
		if (len == 0)
			break;
		err = parp_parse(frame, len, &e->codec, &msg);
		e->heard[err]++;
		if (err == PARP_ERR_OK)
			heard(arg, &msg, now_us);
	}
}

void lan_end_send(struct lan_end *e, const void *frame, size_t len)
{
	lan_sock_send(&e->sock, frame, len);
}

uint64_t lan_end_deadline_us(const struct lan_end *e)
{
	return lan_sock_deadline_us(&e->sock);
}

uint64_t lan_end_counter(const struct lan_end *e, uint32_t pos, const char **ret_name)
{
	*ret_name = pos < PARP_ERR_CNT ? parp_err_name((enum parp_err)pos) : "not_sent";
	return pos < PARP_ERR_CNT ? e->heard[pos] : e->sock.lost;
}
