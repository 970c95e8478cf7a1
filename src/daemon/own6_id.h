/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * own6_id.h - which IPv6 address a program gets: of the host, the user and the program's name, and nothing that anybody else could
 * compute (RFC 7217)
 *
 * So it is the same after a restart of the program, of vjd and of the host. Where the host has no id (machine-id(5)), addresses are others
 * after each start of vjd.
 */
#ifndef DAEMON_OWN6_ID_H
#define DAEMON_OWN6_ID_H

#include "base/addr.h"
#include "base/types.h"

#include <sodium.h>

struct app;

struct own6_id {
	uint8_t secret[crypto_shorthash_siphashx24_BYTES]; /* of the host */
};

/** own6_id_init() - @random: for want of an id */
void own6_id_init(struct own6_id *id, void (*random)(void *buf, size_t bytes));

/** own6_id_program() - Of user @uid. @app: NULL: not known yet which */
uint64_t own6_id_program(const struct own6_id *id, uint32_t uid, const struct app *app);

/** own6_id_draw() - Interface identifier number @number of @program in @prefix */
uint64_t own6_id_draw(const struct own6_id *id, const struct ip_addr *prefix, uint64_t program, uint32_t number);

#endif
