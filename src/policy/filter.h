// SPDX-License-Identifier: BSD-2-Clause
/*
 * filter.h - the firewall's program: what the host's nftables rules were compiled to, and one step of running it
 *
 * docs/firewall.md says what is compiled and what is not. A program is an image: an array of cells of 16 bytes that only refer to one
 * another by index, so that the same bytes are run in the kernel (a BPF array), by vjd and by tests. A cell is one of
 *
 *	head	cell 0: where to begin, by direction
 *	insn	a test (if it fails: to `next`), a jump, a verdict
 *	entry	of a table: an interval of one word of the packet, and where to look on. A set, a map, an interval set and a
 *		concatenation are all trees of these, with one level for each word of the key
 *	count	a counter
 *	bucket	the state of a rate limit
 *	kept	behind each of these two: whose it is. The list of them begins in cell 1, so that the next program can go on where this one
 *		ends, and so can a vjd that finds the image of another one
 *
 * The packet is an array of words in host order (enum filter_word), so that a test knows nothing of headers.
 *
 * A step looks at one cell: one instruction, or one probe of a binary search in a table. The compiler knows the longest way through its program and
 * makes none that needs more than FILTER_STEPS_MAX. Jumps only go to chains that don't come back, so every program ends.
 */
#ifndef VJ_POLICY_FILTER_H
#define VJ_POLICY_FILTER_H

#include "base/types.h"

enum {
	FILTER_CELLS_MAX = 1 << 17,
	FILTER_STEPS_MAX = 1 << 16,
	FILTER_DEPTH_MAX = 16, /* of jumps, as nftables has it */
	FILTER_MAGIC = 0x766a0002, /* also the version of this format */
	FILTER_KEPT_FIRST = 1, /* the cell */
};

/* Words of a packet. Addresses and names of interfaces: the first bytes in the first word; IPv4 has one word of address. */
enum filter_word {
	FILTER_SADDR = 0,
	FILTER_DADDR = 4,
	FILTER_IIFNAME = 8,
	FILTER_OIFNAME = 12,
	FILTER_HAVE = 16, /* FILTER_HAVE_* */
	FILTER_NFPROTO,
	FILTER_ETHERTYPE,
	FILTER_L4PROTO,
	FILTER_IP_PROTO, /* the IP header's own field: of IPv6, perhaps an extension header's */
	FILTER_IP_LEN, /* likewise: IPv6's counts without its header */
	FILTER_IP_ID,
	FILTER_IP_FRAG,
	FILTER_TTL,
	FILTER_TOS, /* traffic class */
	FILTER_SPORT,
	FILTER_DPORT,
	FILTER_SPORT_OF, /* protocol << 16 | port: a rule about a port is one test. 0: no transport header is there */
	FILTER_DPORT_OF,
	FILTER_TCP_FLAGS,
	FILTER_TCP_SEQ,
	FILTER_TCP_ACK,
	FILTER_TCP_DOFF, /* in words */
	FILTER_TCP_WINDOW,
	FILTER_TCP_URGPTR,
	FILTER_UDP_LEN,
	FILTER_ICMP_TYPE,
	FILTER_ICMP_CODE,
	FILTER_IIF,
	FILTER_OIF,
	FILTER_CT_STATE, /* FILTER_CT_* */
	FILTER_CT_REPLY, /* 1: against the direction in which the connection began */
	FILTER_CT_STATUS, /* 0: what a channel carries has no translated addresses, and nothing else is asked of it */
	FILTER_CT_FIRST, /* 1: begins a connection: what chains of type nat see */
	FILTER_DADDR_TYPE, /* RTN_LOCAL (2) or not (1) */
	FILTER_PKTTYPE,
	FILTER_LEN, /* of the IP packet */
	FILTER_WORD_CNT,
	FILTER_WORDS = 64, /* a power of two: an index is cut to it */
};

enum {
	FILTER_HAVE_L4 = 1, /* the transport header is there: not of a later fragment */

	/* As nftables numbers them */
	FILTER_CT_INVALID = 1,
	FILTER_CT_ESTABLISHED = 2,
	FILTER_CT_RELATED = 4,
	FILTER_CT_NEW = 8,
	FILTER_CT_UNTRACKED = 64,
	FILTER_CT_NAT = 0x30, /* of FILTER_CT_STATUS: IPS_SRC_NAT, IPS_DST_NAT */

	FILTER_NFPROTO_IP4 = 2,
	FILTER_NFPROTO_IP6 = 10,
	FILTER_RTN_UNICAST = 1,
	FILTER_RTN_LOCAL = 2,
};

enum filter_op {
	FILTER_OP_NONE, /* an image of zeros goes nowhere: drop */
	/* Tests of word `field`; true: the next cell, false: `next` */
	FILTER_OP_EQ,	  /* (word & a) == b */
	FILTER_OP_NE,	  /* (word & a) != b */
	FILTER_OP_ANY,	  /* (word & a) != 0 */
	FILTER_OP_NONE_OF, /* (word & a) == 0 */
	FILTER_OP_IN,	  /* a <= word <= b */
	FILTER_OP_OUT,	  /* not that */
	/* Tables: entries [a, a + b) for word `field`; arg: enum filter_lookup. Not found: `next` */
	FILTER_OP_LOOKUP,
	/* Statements */
	FILTER_OP_COUNT, /* in cell a; the next cell */
	FILTER_OP_LIMIT, /* bucket a; the next cell holds a struct filter_limit. Enough: the cell behind that, else `next`; arg 1: the other way round */
	/* Ways */
	FILTER_OP_GOTO, /* next */
	FILTER_OP_JUMP, /* to a, and come back to `next` */
	FILTER_OP_RETURN,
	FILTER_OP_EARLY, /* arg: chains follow that see packets before the kernel looks for their connections (1), or after it (0) */
	FILTER_OP_BASE, /* begin a base chain. accept: on to a; return: to b */
	/* In a map of verdicts, which does not know where it is used: FILTER_OP_JUMP comes back behind the rule, this goes on in it */
	FILTER_OP_MAP_JUMP,
	FILTER_OP_MAP_CONTINUE,
	/* Verdicts. ACCEPT ends the base chain, the others all. */
	FILTER_OP_ACCEPT,
	FILTER_OP_DROP,
	FILTER_OP_REJECT, /* arg: enum filter_reject, a: code of ICMP, b: code of ICMPv6 */
	FILTER_OP_KERNEL, /* what comes here is not expressed: a: which rule, as the compiler numbers them */
	FILTER_OP_END,	  /* accepted by all */
};

enum filter_lookup {
	FILTER_LOOKUP_SET, /* found: the next cell */
	FILTER_LOOKUP_NOT_SET, /* found: `next`; not found: the next cell */
	FILTER_LOOKUP_MAP, /* found: the cell that the leaf names */
};

enum filter_reject {
	FILTER_REJECT_ICMP,
	FILTER_REJECT_RST,
};

enum filter_verdict {
	FILTER_RUNNING,
	FILTER_ACCEPT,
	FILTER_DROP,
	FILTER_REJECT,
	FILTER_KERNEL, /* not expressed: only the kernel knows */
};

enum { FILTER_LEAF = 0xff }; /* as `field` of an entry */

struct filter_insn {
	uint8_t op, field;
	uint16_t arg;
	uint32_t a, b, next;
};

/* Entries of a table are disjoint and ascend. A leaf: `first` is what was found; else entries [first, first + cnt) for `field`. */
struct filter_entry {
	uint32_t lo, hi;
	uint32_t first;
	uint32_t cnt : 24, field : 8;
};

/* Written by whoever runs the program, atomically; read by vjd. */
struct filter_count {
	uint64_t packets, bytes;
};

/*
 * A token bucket as one number: the time at which it would have been empty, so that tokens (in ns) are now minus that, at
 * most `depth_ns`. May be before the machine's start. FILTER_BUCKET_FULL at first.
 */
struct filter_bucket {
	int64_t empty_at_ns;
	int64_t depth_ns;
};

#define FILTER_BUCKET_FULL (INT64_MIN / 2)

/* The cell before it is what was counted, or a bucket, of the rule or object of this hash. */
struct filter_kept {
	uint64_t whose; /* 0: cell FILTER_KEPT_FIRST */
	uint32_t next; /* another one of these; 0: none */
	uint32_t is_bucket;
};

struct filter_limit {
	uint64_t cost_ns; /* of a packet; or of `rate` bytes */
	uint64_t rate; /* bytes; 0: packets count */
};

enum filter_head_flags {
	FILTER_TRACKS = 1, /* the state of connections is asked for */
	FILTER_TIMED = 2, /* has limits: wants the time */
	/* The kernel puts datagrams together before its rules see them: for each family that the state of connections is asked of */
	FILTER_WHOLE_IP4 = 4,
	FILTER_WHOLE_IP6 = 8,
	FILTER_SIZED = 16, /* what is asked for differs between a datagram and its fragments: these are the kernel's to judge */
};

enum filter_dir {
	FILTER_INBOUND,
	FILTER_OUTBOUND,
	FILTER_DIR_CNT,
};

struct filter_head {
	uint32_t magic;
	uint32_t flags; /* enum filter_head_flags */
	uint32_t entry[FILTER_DIR_CNT]; /* 0: no chain there, all is accepted */
};

union filter_cell {
	struct filter_head head;
	struct filter_insn insn;
	struct filter_entry entry;
	struct filter_count count;
	struct filter_bucket bucket;
	struct filter_kept kept;
	struct filter_limit limit;
};

_Static_assert(sizeof(union filter_cell) == 16, "an array of them has no gaps");
_Static_assert(FILTER_WORD_CNT <= FILTER_WORDS, "room for the words of a packet");

/* One packet on its way through a program. */
struct filter_run {
	uint32_t word[FILTER_WORDS];
	uint32_t stack[FILTER_DEPTH_MAX];
	uint32_t depth;
	uint32_t pc;
	uint32_t accept_pc, return_pc; /* of the base chain */
	uint32_t after_pc, go_on_pc;   /* of the last look-up in a map: behind its rule; in it */
	/* A search that is under way: `left` entries from `first` on, 0: none. found_pc 0: the leaf says where to go on. */
	uint32_t first, left, field;
	uint32_t found_pc, missed_pc;
	uint32_t verdict; /* enum filter_verdict; FILTER_REJECT and FILTER_KERNEL: `a`, `b` and `arg` of the cell */
	uint32_t arg, a, b;
	uint32_t bytes;
	uint32_t early; /* FILTER_OP_EARLY */
	uint64_t now_ns; /* 0: not asked yet */
};

/*
 * Where cells are. In BPF: the map `cells` at `base`; else an array.
 * @base, @cnt: of this program
 */
struct filter_image {
	void *cells;
	uint32_t base, cnt;
};

#ifdef __bpf__
#define filter_now_ns(run) bpf_ktime_get_ns()
VJ_INLINE union filter_cell *filter_cell_at(const struct filter_image *img, uint32_t idx)
{
	idx = img->base + (idx & (FILTER_CELLS_MAX - 1));
	return bpf_map_lookup_elem(img->cells, &idx);
}
#else
#define filter_now_ns(run) ((run)->now_ns)
VJ_INLINE union filter_cell *filter_cell_at(const struct filter_image *img, uint32_t idx)
{
	return idx < img->cnt ? (union filter_cell *)img->cells + img->base + idx : NULL;
}
#endif

/* ---- one step */

VJ_INLINE void filter_stop(struct filter_run *run, enum filter_verdict verdict, const struct filter_insn *insn)
{
	run->verdict = verdict;
	run->arg = insn->arg;
	run->a = insn->a;
	run->b = insn->b;
}

VJ_INLINE void filter_missed(struct filter_run *run)
{
	run->left = 0;
	run->pc = run->missed_pc;
}

VJ_INLINE void filter_found(struct filter_run *run, uint32_t leaf)
{
	run->left = 0;
	run->pc = run->found_pc != 0 ? run->found_pc : leaf;
}

/* One probe of a binary search, and down a level when it finds. */
VJ_INLINE void filter_probe(struct filter_run *run, const struct filter_entry *e)
{
	uint32_t half = run->left / 2, word = run->word[run->field & (FILTER_WORDS - 1)];

	if (word < e->lo) {
		run->left = half;
	} else if (word > e->hi) {
		run->first += half + 1;
		run->left -= half + 1;
	} else if (e->field == FILTER_LEAF) {
		filter_found(run, e->first);
		return;
	} else {
		run->first = e->first;
		run->left = e->cnt;
		run->field = e->field;
	}
	if (run->left == 0)
		filter_missed(run);
}

VJ_INLINE void filter_lookup(struct filter_run *run, const struct filter_insn *insn)
{
	uint32_t then = run->pc + 1;

	run->after_pc = insn->next;
	run->go_on_pc = then;
	run->found_pc = insn->arg == FILTER_LOOKUP_SET ? then : insn->arg == FILTER_LOOKUP_NOT_SET ? insn->next : 0;
	run->missed_pc = insn->arg == FILTER_LOOKUP_NOT_SET ? then : insn->next;
	run->first = insn->a;
	run->left = insn->b;
	run->field = insn->field;
	if (run->left == 0)
		filter_missed(run);
}

VJ_INLINE bool filter_test(const struct filter_run *run, const struct filter_insn *insn)
{
	uint32_t word = run->word[insn->field & (FILTER_WORDS - 1)];

	switch (insn->op) {
	case FILTER_OP_EQ:
		return (word & insn->a) == insn->b;
	case FILTER_OP_NE:
		return (word & insn->a) != insn->b;
	case FILTER_OP_ANY:
		return (word & insn->a) != 0;
	case FILTER_OP_NONE_OF:
		return (word & insn->a) == 0;
	case FILTER_OP_IN:
		return word - insn->a <= insn->b - insn->a;
	default: /* FILTER_OP_OUT */
		return word - insn->a > insn->b - insn->a;
	}
}

VJ_INLINE void filter_count(struct filter_run *run, const struct filter_image *img, uint32_t idx)
{
	union filter_cell *cell = filter_cell_at(img, idx);

	if (cell) {
		__sync_fetch_and_add(&cell->count.packets, 1);
		__sync_fetch_and_add(&cell->count.bytes, (uint64_t)run->bytes);
	}
	run->pc++;
}

/*
 * Other processors take from the same bucket: who loses the race three times is told that it is empty. (So is everybody in a program
 * that isn't whole.)
 */
VJ_INLINE bool filter_take(const struct filter_run *run, union filter_cell *bucket, const union filter_cell *limit)
{
	uint64_t now_ns, from, cost;
	int64_t was;

	if (!bucket || !limit)
		return false;
	now_ns = filter_now_ns(run);
	cost = limit->limit.cost_ns;
	if (limit->limit.rate)
		cost = cost * run->bytes / limit->limit.rate;
	/* Differences are taken without a sign: of a bucket that isn't whole they would overflow. */
	for (unsigned i = 0; i < 3; i++) {
		was = bucket->bucket.empty_at_ns;
		from = (uint64_t)was;
		if ((int64_t)(now_ns - from) > bucket->bucket.depth_ns)
			from = now_ns - (uint64_t)bucket->bucket.depth_ns;
		if ((int64_t)(now_ns - from) < (int64_t)cost)
			return false;
		if (__sync_val_compare_and_swap(&bucket->bucket.empty_at_ns, was, (int64_t)(from + cost)) == was)
			return true;
	}
	return false;
}

VJ_INLINE void filter_limit(struct filter_run *run, const struct filter_image *img, const struct filter_insn *insn)
{
	bool took = filter_take(run, filter_cell_at(img, insn->a), filter_cell_at(img, run->pc + 1));

	run->pc = took != (insn->arg != 0) ? run->pc + 2 : insn->next;
}

VJ_INLINE void filter_jump(struct filter_run *run, const struct filter_insn *insn, uint32_t back)
{
	if (run->depth >= FILTER_DEPTH_MAX) {
		filter_stop(run, FILTER_DROP, insn);
		return;
	}
	run->stack[run->depth & (FILTER_DEPTH_MAX - 1)] = back;
	run->depth++;
	run->pc = insn->a;
}

VJ_INLINE void filter_return(struct filter_run *run)
{
	if (run->depth == 0) {
		run->pc = run->return_pc;
		return;
	}
	run->depth--;
	run->pc = run->stack[run->depth & (FILTER_DEPTH_MAX - 1)];
}

VJ_INLINE void filter_base(struct filter_run *run, const struct filter_insn *insn)
{
	run->depth = 0;
	run->accept_pc = insn->a;
	run->return_pc = insn->b;
	run->pc++;
}

VJ_INLINE void filter_way(struct filter_run *run, const struct filter_insn *insn)
{
	switch (insn->op) {
	case FILTER_OP_GOTO:
		run->pc = insn->next;
		break;
	case FILTER_OP_JUMP:
		filter_jump(run, insn, insn->next);
		break;
	case FILTER_OP_MAP_JUMP:
		filter_jump(run, insn, run->after_pc);
		break;
	case FILTER_OP_MAP_CONTINUE:
		run->pc = run->go_on_pc;
		break;
	case FILTER_OP_RETURN:
		filter_return(run);
		break;
	case FILTER_OP_EARLY:
		run->early = insn->arg;
		run->pc++;
		break;
	case FILTER_OP_BASE:
		filter_base(run, insn);
		break;
	case FILTER_OP_ACCEPT:
		run->pc = run->accept_pc;
		break;
	case FILTER_OP_REJECT:
		filter_stop(run, FILTER_REJECT, insn);
		break;
	case FILTER_OP_KERNEL:
		filter_stop(run, FILTER_KERNEL, insn);
		break;
	case FILTER_OP_END:
		filter_stop(run, FILTER_ACCEPT, insn);
		break;
	default:
		filter_stop(run, FILTER_DROP, insn);
	}
}

/** filter_step() - One step. Return: false: run->verdict is there */
VJ_INLINE bool filter_step(struct filter_run *run, const struct filter_image *img)
{
	uint32_t searching = run->left;
	const union filter_cell *cell = filter_cell_at(img, searching ? run->first + run->left / 2 : run->pc);

	if (!cell) {
		run->verdict = FILTER_DROP;
		return false;
	}
	if (searching)
		filter_probe(run, &cell->entry);
	else if (cell->insn.op >= FILTER_OP_EQ && cell->insn.op <= FILTER_OP_OUT)
		run->pc = filter_test(run, &cell->insn) ? run->pc + 1 : cell->insn.next;
	else if (cell->insn.op == FILTER_OP_LOOKUP)
		filter_lookup(run, &cell->insn);
	else if (cell->insn.op == FILTER_OP_COUNT)
		filter_count(run, img, cell->insn.a);
	else if (cell->insn.op == FILTER_OP_LIMIT)
		filter_limit(run, img, &cell->insn);
	else
		filter_way(run, &cell->insn);
	return run->verdict == FILTER_RUNNING;
}

/** filter_begin() - @run's words are filled in: set it on its way, or accept what no chain sees */
VJ_INLINE void filter_begin(struct filter_run *run, const struct filter_head *head, enum filter_dir dir)
{
	run->pc = head->entry[dir];
	run->depth = run->left = run->early = 0;
	run->verdict = run->pc != 0 ? FILTER_RUNNING : FILTER_ACCEPT;
}

#ifndef __bpf__
/** filter_eval() - All steps. Return: verdict; FILTER_DROP of a program that doesn't end */
enum filter_verdict filter_eval(const struct filter_image *img, struct filter_run *run, enum filter_dir dir);
#endif

#endif
