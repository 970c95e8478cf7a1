/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_field.h - the left sides of matches: which words of a packet they mean; and the right sides: values of their kind */
#ifndef FIREWALL_FW_FIELD_H
#define FIREWALL_FW_FIELD_H

#include "firewall/fw_code.h"
#include "firewall/fw_raw.h"

#include <jansson.h>

enum fw_value_kind {
	FW_VALUE_NUMBER,
	FW_VALUE_IP4,
	FW_VALUE_IP6,
	FW_VALUE_IFNAME,
	FW_VALUE_ETHERTYPE,
	FW_VALUE_NAT, /* bits of a connection's status: translated addresses */
	FW_VALUE_LOCAL, /* type of an address: whether it is this host's */
};

/* nft tests these by itself before it looks at a field; JSON does not show it. */
enum fw_need {
	FW_NEED_IP4 = 1,
	FW_NEED_IP6 = 2,
	FW_NEED_L4 = 4,
	FW_NEED_TCP = 8,
	FW_NEED_UDP = 16,
	FW_NEED_ICMP4 = 32,
	FW_NEED_ICMP6 = 64,
	FW_NEED_CT = 128, /* the state of connections is known at this hook */
};

struct fw_field {
	enum fw_value_kind kind;
	uint8_t word; /* enum filter_word */
	uint8_t word_cnt;
	uint8_t shift; /* the value is (word & mask) >> shift */
	uint32_t mask; /* of a field of one word */
	uint32_t needs; /* enum fw_need */
	struct fw_bytes of; /* where it lies */
	uint8_t bit; /* of a word that is less than these bytes: its lowest bit there */
	uint32_t most; /* the highest number that fits; of several words: UINT32_MAX */
};

/* A value, or an interval of them. Of a field of several words, the upper first; words that aren't used are 0. */
struct fw_interval {
	uint32_t lo[4], hi[4];
};

/** fw_field_of() - Return: false: not one that we know exactly */
bool fw_field_of(const json_t *left, struct fw_field *ret_field);

/**
 * fw_value_of() - A value, prefix or range
 * Return: false: not one that we know exactly
 */
bool fw_value_of(const struct fw_field *field, const json_t *value, struct fw_interval *ret_interval);

/** fw_number_of() - A number from 0 to UINT32_MAX, or a list of them, or'ed. Return: false: something else */
bool fw_number_of(const json_t *value, uint32_t *ret_number);

/** fw_text() - The text of member @key of an object, or NULL */
const char *fw_text(const json_t *object, const char *key);

#endif
