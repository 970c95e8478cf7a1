// SPDX-License-Identifier: BSD-2-Clause
/*
 * resolver_book.h - the memory of a resolver: entries by key, groups by address, what ends soonest. Decides nothing, tells nobody
 *
 * An entry that is there belongs to one group, and a group has at least one entry: so there are never more groups than
 * entries. Entries are in the heap by @until_us unless that is TIME_NEVER.
 */
#ifndef VJ_LAN_RESOLVER_BOOK_H
#define VJ_LAN_RESOLVER_BOOK_H

#include "lan/resolver.h"

/** book_key() - Of the port asked, of its block or of its host */
struct resolver_key book_key(const struct parp_endpoint *ep, enum resolver_kind kind);

struct resolver_entry *book_find(const struct resolver *r, const struct resolver_key *key);

/** book_get() - A new entry of state ASKING, in the group without a MAC. NULL: all are in use */
struct resolver_entry *book_get(struct resolver *r, const struct resolver_key *key);

/** book_put() - Its question is closed already */
void book_put(struct resolver *r, struct resolver_entry *e);

/** book_used() - It is the last to be evicted now */
void book_used(struct resolver *r, struct resolver_entry *e, uint64_t now_us);

void book_set_until(struct resolver *r, struct resolver_entry *e, uint64_t until_us);

/** book_rekey() - @key is in no entry */
void book_rekey(struct resolver *r, struct resolver_entry *e, const struct resolver_key *key);

/** book_group() - NULL: there is none */
struct resolver_group *book_group(const struct resolver *r, const struct ip_addr *addr, const struct mac_addr *mac);

/** book_next_group() - Of all of one address; @after NULL: the first. NULL: no more */
struct resolver_group *book_next_group(const struct resolver *r, const struct ip_addr *addr, struct resolver_group *after);

/** book_move() - To the group of @mac, which is made if it isn't there; that which it leaves may end, with its question closed by the caller */
void book_move(struct resolver *r, struct resolver_entry *e, const struct mac_addr *mac);

/** book_is_last() - It is the only one of its group */
bool book_is_last(const struct resolver_entry *e);

void book_init(struct resolver *r, void *mem, uint32_t cnt);

#endif
