// SPDX-License-Identifier: BSD-2-Clause
#include "firewall/fw_listing.h"

#include <stdlib.h>
#include <string.h>

static const char handle_mark[] = " # handle ";
static const char packets_mark[] = "packets ", bytes_mark[] = " bytes ";

static size_t line_len(const char *text)
{
	const char *end = strchr(text, '\n');

	return end != NULL ? (size_t)(end - text) + 1 : strlen(text);
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A word of @from, up to a space. Return: behind it */
static const char *word(const char *from, char *ret, size_t bytes)
{
	size_t len = strcspn(from, " \n");

	ret[0] = '\0';
	if (len < bytes) {
		memcpy(ret, from, len);
		ret[len] = '\0';
	}
	return from + len + (from[len] == ' ');
}

size_t fw_piece_handle(const char *line, size_t len, uint64_t *ret_handle)
{
	size_t digits = len, mark = sizeof(handle_mark) - 1;

	while (digits > 0 && is_digit(line[digits - 1]))
		digits--;
	if (digits == len || digits < mark || memcmp(line + digits - mark, handle_mark, mark) != 0)
		return len;
	*ret_handle = strtoull(line + digits, NULL, 10);
	return digits - mark;
}

struct fw_listing fw_listing_begin(const char *text)
{
	return (struct fw_listing){ .at = text };
}

/* A line that isn't indented, or once. */
static void block_line(struct fw_listing *l, struct fw_piece *p)
{
	const char *line = p->text;

	l->block = FW_PIECE_OTHER;
	if (begins(line, "table ")) {
		word(word(line + 6, l->place.family, sizeof(l->place.family)), l->place.table, sizeof(l->place.table));
	} else if (begins(line, "\tchain ")) {
		word(line + 7, l->place.chain, sizeof(l->place.chain));
		p->kind = l->block = FW_PIECE_CHAIN;
	} else if (begins(line, "\tcounter ")) {
		word(line + 9, l->place.chain, sizeof(l->place.chain));
		l->block = FW_PIECE_COUNTER;
	}
}

/* Of a chain: what it is, or a rule with all lines up to its handle. */
static void chain_line(struct fw_listing *l, struct fw_piece *p)
{
	size_t line = p->len;
	uint64_t handle;

	if (begins(p->text, "\t\ttype ") || begins(p->text, "\t\tcomment "))
		return;
	for (;;) {
		const char *last = p->text + p->len - line;
		size_t shown = line - (last[line - 1] == '\n');

		if (fw_piece_handle(last, shown, &handle) < shown) {
			p->kind = FW_PIECE_RULE;
			l->place.handle = handle;
			return;
		}
		if (!begins(p->text + p->len, "\t\t"))
			return;
		line = line_len(p->text + p->len);
		p->len += line;
	}
}

bool fw_listing_next(struct fw_listing *l, struct fw_piece *ret_piece)
{
	struct fw_piece p = { .kind = FW_PIECE_OTHER, .text = l->at, .len = line_len(l->at) };

	if (p.len == 0)
		return false;
	l->place.handle = 0;
	if (!begins(p.text, "\t\t"))
		block_line(l, &p);
	else if (l->block == FW_PIECE_CHAIN)
		chain_line(l, &p);
	else if (l->block == FW_PIECE_COUNTER && begins(p.text, "\t\tpackets "))
		p.kind = FW_PIECE_COUNTER;
	p.place = l->place;
	l->at = p.text + p.len;
	*ret_piece = p;
	return true;
}

/* Numbers in quotes are somebody's words. */
size_t fw_piece_counter(const struct fw_piece *piece, size_t from, size_t *ret_at, size_t *ret_len, uint64_t *ret_packets,
			uint64_t *ret_bytes)
{
	bool quoted = false;

	for (size_t i = from; i < piece->len; i++) {
		const char *at = piece->text + i;
		char *end;

		quoted ^= *at == '"';
		if (quoted || (i > 0 && at[-1] != ' ' && at[-1] != '\t') || !begins(at, packets_mark) ||
		    !is_digit(at[sizeof(packets_mark) - 1]))
			continue;
		*ret_packets = strtoull(at + sizeof(packets_mark) - 1, &end, 10);
		if (!begins(end, bytes_mark) || !is_digit(end[sizeof(bytes_mark) - 1]))
			continue;
		*ret_bytes = strtoull(end + sizeof(bytes_mark) - 1, &end, 10);
		*ret_at = i;
		*ret_len = (size_t)(end - at);
		return i + *ret_len;
	}
	return 0;
}

/* Lines become one, what indents them a space. Return: how much is in @ret, from @n on */
static size_t flatten(const char *text, size_t len, char *ret, size_t n, size_t bytes)
{
	for (size_t i = 0; i < len && n + 1 < bytes; i++) {
		bool space = text[i] == '\t' || text[i] == '\n' || text[i] == ' ';

		if (!space)
			ret[n++] = text[i];
		else if (n > 0 && ret[n - 1] != ' ')
			ret[n++] = ' ';
	}
	return n;
}

void fw_listing_quote(const struct fw_piece *p, char *ret, size_t bytes)
{
	size_t end, from = 0, n = 0, at, len, next;
	uint64_t handle, packets, counted;

	end = fw_piece_handle(p->text, p->len - (p->text[p->len - 1] == '\n'), &handle);
	for (; (next = fw_piece_counter(p, from, &at, &len, &packets, &counted)) != 0; from = next)
		n = flatten(p->text + from, at - from, ret, n, bytes);
	n = flatten(p->text + from, end - from, ret, n, bytes);
	n -= n > 0 && ret[n - 1] == ' ';
	ret[n] = '\0';
}
