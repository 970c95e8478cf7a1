/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * board.h - vjd's side of control/board.h
 *
 * Brief programs: MANY in a row that ended at once, within WINDOW_MS, and the next ones' first connections are the kernel's for a
 * second; then one more is looked at, and if it is as brief the rest is twice as long, up to BOARD_REST_MAX_S. One that lasts says
 * nothing, so there is nothing to be renewed and it begins anew.
 */
#ifndef DAEMON_BOARD_H
#define DAEMON_BOARD_H

#include "control/board.h"

struct notice_board;

/**
 * notice_board_new() - A board that nobody sees yet: everybody asks. What an earlier vjd has left is taken away.
 * @path: of vjd's socket
 * Return: NULL: no memory, or the path is too long
 */
struct notice_board *notice_board_new(const char *path);

/**
 * notice_board_put_up() - Make the file beside vjd's socket, with what is known by now
 * Not before interfaces are attached: who read "none" meanwhile would leave by the kernel. If it can't be made everybody goes on to ask.
 */
void notice_board_put_up(struct notice_board *b);

/** notice_board_take_down() - Take the file away: who has connected and finds one nevertheless was here before that. NULL is fine, here and below. */
void notice_board_take_down(struct notice_board *b);

void notice_board_free(struct notice_board *b);

/** notice_board_port() - Whose is this port now? @owner: board_owner() or BOARD_OWNER_* */
void notice_board_port(struct notice_board *b, bool udp, uint16_t port, uint32_t owner);

/** notice_board_interfaces() - How many are attached */
void notice_board_interfaces(struct notice_board *b, uint32_t cnt);

/** notice_board_brief() - A process of this program was brief. @key: board_key() */
void notice_board_brief(struct notice_board *b, uint64_t key, uint64_t now_ns);

#endif
