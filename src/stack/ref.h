// SPDX-License-Identifier: BSD-2-Clause
/*
 * References to objects of several kinds in 32 bits, and lists made of them.
 *
 * Timers, events and waiting output are all lists that run through objects of different pools. A
 * `struct ref` names such an object: its kind in the top 4 bits, its pool index below. A `struct
 * ref_space` says where in an object of each kind the node of one such list lies, so a list of
 * mixed kinds costs two words per object and no pointer.
 */
#ifndef VJ_STACK_REF_H
#define VJ_STACK_REF_H

#include "base/types.h"
#include "stack/mem.h"

enum ref_kind {
	REF_NONE, /* so that 0 is no object */
	REF_TCP,
	REF_LISTENER,
	REF_UDP,
	REF_LINK,
	REF_REASS,
	REF_PACE,
	REF_TW,
	REF_KIND_CNT,
	REF_SLOT = 15, /* no object: a slot of the timing wheel */
};

#define REF_ID_BITS 28
#define REF_ID_MASK ((UINT32_C(1) << REF_ID_BITS) - 1)

struct ref {
	uint32_t v;
};

static inline struct ref ref_of(enum ref_kind kind, uint32_t id)
{
	VJ_DASSERT_OP(id, <=, REF_ID_MASK);
	return (struct ref){ (uint32_t)kind << REF_ID_BITS | id };
}

static inline enum ref_kind ref_kind(struct ref ref)
{
	return (enum ref_kind)(ref.v >> REF_ID_BITS);
}
static inline uint32_t ref_id(struct ref ref)
{
	return ref.v & REF_ID_MASK;
}

struct ref_space {
	struct {
		struct pool *pool;
		uint32_t offset; /* of the node in the object */
	} kind[REF_KIND_CNT];
};

/* Objects of @kind live in @pool and have their node at @offset. */
static inline void ref_space_set(struct ref_space *space, enum ref_kind kind, struct pool *pool,
				 size_t offset)
{
	space->kind[kind].pool = pool;
	space->kind[kind].offset = (uint32_t)offset;
}

/* The node of an object */
static inline void *ref_node(const struct ref_space *space, struct ref ref)
{
	const struct pool *pool = space->kind[ref_kind(ref)].pool;
	uint8_t *obj = pool_at(pool, ref_id(ref));

	return obj + space->kind[ref_kind(ref)].offset;
}

/*
 * First-in first-out, doubly linked. An object is in the list if node.prev is not 0: the first
 * one's prev is itself. Zeroed list: empty. Zeroed node: in no list; an object sets it so when it
 * is made.
 */
struct ref_list {
	struct ref head;
	struct ref tail;
};

struct ref_list_node {
	struct ref next; /* 0: last */
	struct ref prev; /* 0: in no list; itself: first */
};

static inline bool ref_list_empty(const struct ref_list *list)
{
	return list->head.v == 0;
}
static inline bool ref_list_has(const struct ref_list_node *node)
{
	return node->prev.v != 0;
}

/* @ref must be in no list of this space; @node is its node. */
static inline void ref_list_add_node(const struct ref_space *space, struct ref_list *list,
				     struct ref ref, struct ref_list_node *node)
{
	VJ_DASSERT_OP(node->prev.v, ==, 0u);
	node->next.v = 0;
	if (list->tail.v != 0) {
		struct ref_list_node *last = ref_node(space, list->tail);

		last->next = ref;
		node->prev = list->tail;
	} else {
		list->head = ref;
		node->prev = ref;
	}
	list->tail = ref;
}

static inline void ref_list_add(const struct ref_space *space, struct ref_list *list,
				struct ref ref)
{
	ref_list_add_node(space, list, ref, ref_node(space, ref));
}

/* Take the first out, which is there and has @node. */
static inline void ref_list_pop(const struct ref_space *space, struct ref_list *list,
				struct ref_list_node *node)
{
	list->head = node->next;
	if (node->next.v != 0)
		((struct ref_list_node *)ref_node(space, node->next))->prev = node->next;
	else
		list->tail.v = 0;
	node->next.v = 0;
	node->prev.v = 0;
}

/* @ref must be in @list. */
static inline void ref_list_del(const struct ref_space *space, struct ref_list *list,
				struct ref ref)
{
	struct ref_list_node *node = ref_node(space, ref);
	bool first = node->prev.v == ref.v;

	VJ_DASSERT_OP(node->prev.v, !=, 0u);
	if (first)
		list->head = node->next;
	else
		((struct ref_list_node *)ref_node(space, node->prev))->next = node->next;
	if (node->next.v != 0)
		((struct ref_list_node *)ref_node(space, node->next))->prev = first ? node->next
										    : node->prev;
	else
		list->tail = first ? (struct ref){ 0 } : node->prev;
	node->next.v = 0;
	node->prev.v = 0;
}

#endif
