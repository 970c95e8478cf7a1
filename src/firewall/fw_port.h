/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_port.h - which ports a program leaves to channels, by where they are. No I/O. */
#ifndef FIREWALL_FW_PORT_H
#define FIREWALL_FW_PORT_H

#include "base/addr.h"
#include "firewall/firewall.h"

/* Compared as bytes. */
struct fw_port_key {
	struct ip_addr addr; /* "any": whatever it is, of this family */
	char device[16];
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP */
	uint8_t directly; /* 1: between two applications of this host, @device is lo; 0: at an interface */
	uint8_t pad[2];
};

/* In what is against a port: the cell is come to by what is sent from it, not by what is sent to it. Cells are fewer than FILTER_CELLS_MAX. */
static const uint32_t FW_AGAINST_ANSWER = 1u << 31;

/**
 * fw_port_against() - What is against each port there?
 * @at: one for each of @prog's ports, all 0 at first: then a cell, perhaps with FW_AGAINST_ANSWER, or FW_AT_UNKNOWN; 0: nothing is
 */
void fw_port_against(const struct fw_program *prog, const struct fw_port_key *key, uint32_t *at);

/** fw_port_not_direct() - What keeps ports, any of them, off channels between programs of this host? @against: 0 for each cell; then 1 for such */
void fw_port_not_direct(const struct fw_program *prog, uint8_t *against);

/** fw_port_class() - Number of @port among @prog's ports */
uint32_t fw_port_class(const struct fw_program *prog, uint16_t port);

/** fw_name_words() - A device's name as rules compare it */
void fw_name_words(const char *name, uint32_t ret_words[static 4]);

#endif
