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

struct if_dispatch;
struct lease;

/** firewall_new() - Read the rules, wait for them a moment. @ret_fd: readable when firewall_run() is wanted. Return: 0; as fw_reader_new() */
int firewall_new(struct vjd *d, int *ret_fd);
void firewall_free(struct vjd *d);

/** firewall_run() - Follow the rules; what they take away is taken away */
void firewall_run(struct vjd *d);

/** firewall_deadline_ns() - When it is wanted next, whatever the descriptor says; TIME_NEVER */
uint64_t firewall_deadline_ns(const struct vjd *d);

/** firewall_install() - The program into the maps of an interface, in one step. @name: of the interface */
void firewall_install(const struct firewall *fw, const struct if_dispatch *dispatch, const char *name);

/**
 * firewall_judges() - Can the program judge all that comes to, and leaves, this host's ports [@first, @last] at an interface?
 * @fw:    NULL: yes
 * @local: the address
 */
bool firewall_judges(const struct firewall *fw, const char *name, const struct ip_addr *local, uint8_t proto, uint16_t first,
		     uint16_t last);

/** firewall_allows() - May applications of this host reach this lease directly, at every address of it? The answer is kept with the lease. */
bool firewall_allows(const struct vjd *d, struct lease *l);

/** firewall_allows_at() - The same of one address: dearer, where some rule forbids another one */
bool firewall_allows_at(const struct vjd *d, struct lease *l, const struct endpoint *at);

#endif
