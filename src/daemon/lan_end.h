/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lan_end.h - vjd's end of one LAN: the host that src/lan speaks as, and the sockets through which its messages come and go
 *
 * Whoever speaks port-aware ARP has one: the channels of an interface (if_lan.h), and a gateway (gateway.h). Both may stand at the same
 * interface; then each hears what the other does.
 */
#ifndef DAEMON_LAN_END_H
#define DAEMON_LAN_END_H

#include "control/host_table.h"
#include "daemon/if_ask.h"
#include "daemon/lan_sock.h"
#include "daemon/vjd.h"
#include "lan/host.h"

struct lan_end {
	const struct vjd *d;
	struct parp_config codec;
	struct lan_host host; /* @id, @gen: the caller's to set */
	struct lan_sock sock;
	uint64_t heard[PARP_ERR_CNT];
};

/**
 * lan_end_open() - At @ifindex, as vjd is configured
 * @e: stays where it is until lan_end_close()
 * Return: 0; errno of lan_sock_open()
 */
int lan_end_open(const struct vjd *d, uint32_t ifindex, enum lan_asker asker, struct lan_end *e);
void lan_end_close(struct lan_end *e);

/** lan_end_fd() - Readable when there is something to hear, or that was added by lan_end_ask() to be read */
int lan_end_fd(const struct lan_end *e);

/**
 * lan_end_ask() - Begin to ask
 * @cfg: but for its host, which is @e's
 * Return: 0; errno of if_ask_new() and epoll_ctl(2): *@ret_ask may be set even so. It is the caller's, who frees it before @e is closed
 */
int lan_end_ask(struct lan_end *e, struct if_ask_config cfg, struct if_ask **ret_ask);

/** lan_end_follow() - The interface has this MAC address, and the host these addresses */
void lan_end_follow(struct lan_end *e, const struct host_image *image, const uint8_t mac[static 6]);

typedef void lan_heard_fn(void *arg, const struct parp_msg *msg, uint64_t now_us);

/** lan_end_hear() - Hand on what has come and is a message; not all at once, if there is much */
void lan_end_hear(struct lan_end *e, uint64_t now_us, lan_heard_fn *heard, void *arg);

/** lan_end_send() - A whole frame */
void lan_end_send(struct lan_end *e, const void *frame, size_t len);

/** lan_end_deadline_us() - When lan_end_hear() goes on after a pause */
uint64_t lan_end_deadline_us(const struct lan_end *e);

enum { LAN_END_COUNTERS = PARP_ERR_CNT + 1 };

/** lan_end_counter() - What was heard, and what could not be sent. @pos: below LAN_END_COUNTERS; @ret_name: a constant word */
uint64_t lan_end_counter(const struct lan_end *e, uint32_t pos, const char **ret_name);

#endif
