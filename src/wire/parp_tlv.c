// SPDX-License-Identifier: BSD-2-Clause
/*
 * parp_tlv.c - type, length of the value, value
 *
 * The keyed MAC is SipHash-2-4 with an output of 128 bits, a pseudo-random function under a key of 128 bits: what it
 * covers is short, and it is computed for every message of a flood.
 */
#include "wire/parp_wire.h"

#include <sodium.h>
#include <string.h>

enum { COVERED_MAX = PARP_COVERED_HEAD_MAX + PARP_FRAME_MAX };

/* TLVs of one length: number, length of the value, flag. */
struct tlv_kind {
	uint8_t type, len;
	uint32_t has;
};

static const struct tlv_kind kinds[] = {
	{ PARP_TLV_LIFETIME, 4, PARP_HAS_LIFETIME },   { PARP_TLV_NONCE, 8, PARP_HAS_NONCE },
	{ PARP_TLV_HOST, 16, PARP_HAS_HOST },	       { PARP_TLV_TIMESTAMP, 8, PARP_HAS_TIMESTAMP },
	{ PARP_TLV_CANON_MAC, 6, PARP_HAS_CANON_MAC }, { PARP_TLV_PORTSET, 4, PARP_HAS_PORTSET },
	{ PARP_TLV_CAPS, 4, PARP_HAS_CAPS },
};

static void value_parse(uint8_t type, const uint8_t *v, struct parp_msg *msg)
{
	switch (type) {
	case PARP_TLV_LIFETIME:
		msg->lifetime_ms = load_be32(v);
		break;
	case PARP_TLV_NONCE:
		msg->nonce = load_be64(v);
		break;
	case PARP_TLV_HOST:
		memcpy(msg->host.bytes, v, sizeof(msg->host.bytes));
		break;
	case PARP_TLV_TIMESTAMP:
		msg->timestamp_us = load_be64(v);
		break;
	case PARP_TLV_CANON_MAC:
		memcpy(msg->canon_mac.bytes, v, sizeof(msg->canon_mac.bytes));
		break;
	case PARP_TLV_PORTSET:
		msg->portset = (struct parp_portset){ v[0], v[1], load_be16(v + 2) };
		break;
	default:
		msg->caps = load_be32(v);
	}
}

static void value_build(uint8_t type, uint8_t *v, const struct parp_msg *msg)
{
	switch (type) {
	case PARP_TLV_LIFETIME:
		store_be32(v, msg->lifetime_ms);
		break;
	case PARP_TLV_NONCE:
		store_be64(v, msg->nonce);
		break;
	case PARP_TLV_HOST:
		memcpy(v, msg->host.bytes, sizeof(msg->host.bytes));
		break;
	case PARP_TLV_TIMESTAMP:
		store_be64(v, msg->timestamp_us);
		break;
	case PARP_TLV_CANON_MAC:
		memcpy(v, msg->canon_mac.bytes, sizeof(msg->canon_mac.bytes));
		break;
	case PARP_TLV_PORTSET:
		v[0] = msg->portset.offset_bits;
		v[1] = msg->portset.psid_bits;
		store_be16(v + 2, msg->portset.psid);
		break;
	default:
		store_be32(v, msg->caps);
	}
}

static enum parp_err list_parse(const uint8_t *v, size_t len, struct parp_msg *msg)
{
	size_t cnt = len / sizeof(struct mac_addr);

	if (len == 0 || len % sizeof(struct mac_addr) != 0 || !parp_is_about_macs(msg->type) ||
	    msg->mac_cnt + cnt > PARP_MACS_MAX)
		return PARP_ERR_BAD_TLV;
	memcpy(msg->macs + msg->mac_cnt, v, len);
	msg->mac_cnt = (uint16_t)(msg->mac_cnt + cnt);
	return PARP_ERR_OK;
}

static enum parp_err known_parse(uint8_t type, const uint8_t *v, size_t len, struct parp_msg *msg)
{
	if (type == PARP_TLV_MAC_LIST)
		return list_parse(v, len, msg);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (kinds[i].type != type)
			continue;
		if (len != kinds[i].len || (msg->has & kinds[i].has) != 0)
			return PARP_ERR_BAD_TLV;
		msg->has |= kinds[i].has;
		value_parse(type, v, msg);
		return PARP_ERR_OK;
	}
	return type < PARP_TLV_MUST_KNOW ? PARP_ERR_OK : PARP_ERR_UNKNOWN_TLV;
}

static void auth_of(const struct parp_covered *covered, const uint8_t *end, const struct parp_key *key,
		    uint8_t ret_mac[static crypto_shorthash_siphashx24_BYTES])
{
	size_t len = (size_t)(end - covered->from);
	uint8_t text[COVERED_MAX];

	_Static_assert(crypto_shorthash_siphashx24_KEYBYTES == PARP_SECRET_BYTES, "SipHash-2-4-128");
	_Static_assert(crypto_shorthash_siphashx24_BYTES + 4 == PARP_AUTH_BYTES, "SipHash-2-4-128");
	memcpy(text, covered->head, covered->head_len);
	memcpy(text + covered->head_len, covered->from, len);
	crypto_shorthash_siphashx24(ret_mac, text, covered->head_len + len, key->secret);
}

static enum parp_err auth_parse(const struct parp_covered *covered, const uint8_t *tlv, const struct parp_config *cfg,
				struct parp_msg *msg)
{
	const uint8_t *v = tlv + PARP_TLV_HDR_BYTES;
	uint8_t mac[crypto_shorthash_siphashx24_BYTES], differ = 0;

	for (uint32_t k = 0; k < cfg->key_cnt; k++) {
		if (cfg->keys[k].id != load_be32(v))
			continue;
		/* in a time that says nothing about where they differ */
		auth_of(covered, tlv, &cfg->keys[k], mac);
		for (unsigned i = 0; i < sizeof(mac); i++)
			differ |= mac[i] ^ v[4 + i];
		msg->authentic = differ == 0;
		return differ == 0 ? PARP_ERR_OK : PARP_ERR_BAD_AUTH;
	}
	return PARP_ERR_OK;
}

enum parp_err parp_tlvs_parse(const struct parp_covered *covered, const uint8_t *p, size_t len,
			      const struct parp_config *cfg, struct parp_msg *msg)
{
	enum parp_err err = PARP_ERR_OK;
	bool last = false;

	/* longer than any frame: can't be, but the copy for AUTH depends on it */
	if ((size_t)(p - covered->from) + len > PARP_FRAME_MAX)
		return PARP_ERR_BAD_LEN;
	while (len > 0 && err == PARP_ERR_OK) {
		size_t bytes;

		if (last || len < PARP_TLV_HDR_BYTES || p[1] > len - PARP_TLV_HDR_BYTES)
			return PARP_ERR_BAD_TLV;
		bytes = PARP_TLV_HDR_BYTES + p[1];
		last = p[0] == PARP_TLV_AUTH;
		if (!last)
			err = known_parse(p[0], p + PARP_TLV_HDR_BYTES, p[1], msg);
		else
			err = p[1] == PARP_AUTH_BYTES ? auth_parse(covered, p, cfg, msg) : PARP_ERR_BAD_TLV;
		p += bytes;
		len -= bytes;
	}
	if (err == PARP_ERR_OK && cfg->auth_required && !msg->authentic)
		return PARP_ERR_NO_AUTH;
	return err;
}

/* Addresses that stand in lists: all but the first. */
static size_t list_bytes(const struct parp_msg *msg)
{
	size_t cnt = msg->mac_cnt > 1 ? msg->mac_cnt - 1u : 0;

	return (cnt + PARP_LIST_MACS - 1) / PARP_LIST_MACS * PARP_TLV_HDR_BYTES + cnt * sizeof(struct mac_addr);
}

size_t parp_tlvs_bytes(const struct parp_config *cfg, const struct parp_msg *msg)
{
	size_t bytes = list_bytes(msg);

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if ((msg->has & kinds[i].has) != 0)
			bytes += PARP_TLV_HDR_BYTES + (size_t)kinds[i].len;
	return bytes + (cfg->key_cnt > 0 ? PARP_TLV_HDR_BYTES + PARP_AUTH_BYTES : 0);
}

static uint8_t *lists_build(uint8_t *p, const struct parp_msg *msg)
{
	for (unsigned i = 1; i < msg->mac_cnt; i += PARP_LIST_MACS) {
		size_t bytes = min_u32(msg->mac_cnt - i, PARP_LIST_MACS) * sizeof(struct mac_addr);

		p[0] = PARP_TLV_MAC_LIST;
		p[1] = (uint8_t)bytes;
		memcpy(p + PARP_TLV_HDR_BYTES, msg->macs + i, bytes);
		p += PARP_TLV_HDR_BYTES + bytes;
	}
	return p;
}

void parp_tlvs_build(const struct parp_covered *covered, uint8_t *p, const struct parp_config *cfg,
		     const struct parp_msg *msg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		if ((msg->has & kinds[i].has) == 0)
			continue;
		p[0] = kinds[i].type;
		p[1] = kinds[i].len;
		value_build(kinds[i].type, p + PARP_TLV_HDR_BYTES, msg);
		p += PARP_TLV_HDR_BYTES + kinds[i].len;
	}
	p = lists_build(p, msg);
	if (cfg->key_cnt == 0)
		return;
	p[0] = PARP_TLV_AUTH;
	p[1] = PARP_AUTH_BYTES;
	store_be32(p + PARP_TLV_HDR_BYTES, cfg->keys[0].id);
	auth_of(covered, p, &cfg->keys[0], p + PARP_TLV_HDR_BYTES + 4);
}
