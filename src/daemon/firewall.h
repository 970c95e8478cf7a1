/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * firewall.h - the host's rules, held on every channel
 *
 * docs/firewall.md. At interfaces dispatch and gate run the compiled program; here it is put into their maps, and asked which ports it can judge: the others are
 * left to the kernel. A direct channel has nobody between its ends, so it is given only where all that can be sent over it would be accepted on the loopback
 * device, by rules that count nothing; what else the rules say, the kernel says.
 *
 * As long as rules can't be read nothing is given (struct vjd's @firewall NULL: not root, where nobody can ask; no interfaces then).
 */
#ifndef DAEMON_FIREWALL_H
#define DAEMON_FIREWALL_H

#include "base/addr.h"
#include "daemon/vjd.h"
#include "firewall/firewall.h"

struct fw_tally;
struct if_dispatch;
struct lease;
struct lease_key;
struct user;

/** firewall_new() - Read the rules, wait for them a moment. @ret_fd: readable when firewall_run() is wanted. Return: 0; as fw_reader_new() */
int firewall_new(struct vjd *d, int *ret_fd);
void firewall_free(struct vjd *d);

/** firewall_run() - Follow the rules; what they take away is taken away */
void firewall_run(struct vjd *d);

/** firewall_deadline_ns() - When it is wanted next, whatever the descriptor says; TIME_NEVER */
uint64_t firewall_deadline_ns(const struct vjd *d);

/**
 * firewall_install() - The program into the maps of an interface, in one step; what was counted there is kept
 * @name:  of the interface
 * @found: the maps may be an earlier vjd's, who may have changed them just now
 */
void firewall_install(struct firewall *fw, const struct if_dispatch *dispatch, const char *name, bool found);

/** firewall_count() - Add what an interface's maps have counted. @tallies: the program's counters, in their order */
void firewall_count(const struct firewall *fw, const struct if_dispatch *dispatch, struct fw_tally *tallies);

/**
 * firewall_against() - What keeps the program from judging all that comes to, and leaves, this host's ports [@first, @last] at an interface?
 * @fw:    NULL: nothing
 * @local: the address
 * Return: 0: nothing; else for firewall_quote(), until the rules change
 */
uint32_t firewall_against(struct firewall *fw, const char *name, const struct ip_addr *local, uint8_t proto, uint16_t first,
			  uint16_t last);

/** firewall_against_direct() - Likewise: what keeps applications of this host from reaching this lease directly? */
uint32_t firewall_against_direct(const struct vjd *d, const struct lease_key *key);

enum { FW_QUOTE_BYTES = 512 };

/** firewall_quote() - The rule, in words, of a firewall_against*() that was not 0 */
void firewall_quote(const struct firewall *fw, uint32_t at, char ret_text[static FW_QUOTE_BYTES]);

/**
 * firewall_show() - Have the rules printed for somebody, with what channels have counted
 * @flags:  CTL_FIREWALL_*
 * @ret_fd: readable: text, the caller's to close; nothing in it: they could not be read
 * Return: 0; -EPERM: they are not this vjd's to see; -EAGAIN: several are printed already; -ENOMEM, -EMFILE and others
 */
int firewall_show(struct vjd *d, uint32_t flags, int *ret_fd);

/** firewall_allows() - May applications of this host reach this lease directly, at every address of it? The answer is kept with the lease. */
bool firewall_allows(const struct vjd *d, struct lease *l);

/**
 * firewall_spoken() - An application of @user reaches @at directly
 * Connections may outlive the lease there, and move to processes that never had one; rules that forbid it later end them all the same.
 */
void firewall_spoken(const struct vjd *d, struct user *user, uint8_t proto, const struct endpoint *at);

/** firewall_forbids_spoken() - Would one of them be refused by the rules of now? */
bool firewall_forbids_spoken(const struct vjd *d, const struct user *user);

/** firewall_allows_at() - The same of one address: dearer, where some rule forbids another one */
bool firewall_allows_at(const struct vjd *d, struct lease *l, const struct endpoint *at);

#endif
