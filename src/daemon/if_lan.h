/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * if_lan.h - what vjd says and hears on the LAN of one interface: addresses for its applications, and whose a port is
 *
 * src/lan decides, here is what it needs of the world: sockets, the maps of dispatch, the filter of the device. An application's
 * own address is one to send *to*: dispatch knows it by the map `macs`, and finds the channel without looking further. What
 * the application sends goes on to come from the canonical address. So it moves to its own address, and back, without a word
 * to it and without a packet that is lost: for those who have learned the address it is shorter, for all others the
 * canonical one is as right as ever. And nothing breaks where a network refuses frames from addresses that it does not
 * know; vjd itself keeps the switches' tables fresh.
 *
 * An entry of `macs` with the value 0 is an address in quarantine: dispatch looks at ports again, and what is nobody's there
 * is the kernel's. The map is pinned, and is what a later vjd adopts.
 *
 * Owners of claims are channels, by number. All of it is optional: without it everything works by port.
 */
#ifndef DAEMON_IF_LAN_H
#define DAEMON_IF_LAN_H

#include "daemon/if_bpf.h"
#include "daemon/if_chan.h"
#include "wire/parp.h"

struct if_ask;
struct iface;
struct interfaces;
struct if_lan;

/**
 * if_lan_new() - Begin at interface @i, whose dispatch is attached
 * Return: 0; negative errno of packet(7) or memory
 */
int if_lan_new(struct interfaces *s, struct iface *i, struct if_lan **ret_lan);

/**
 * if_lan_free() - NULL allowed
 * @serve_on: what is claimed stays so, for a later vjd; else it is released
 */
void if_lan_free(struct if_lan *lan, bool serve_on);

/** if_lan_fd() - Readable when if_lan_run() has something to read */
int if_lan_fd(const struct if_lan *lan);

void if_lan_run(struct if_lan *lan, uint64_t now_ns);
uint64_t if_lan_deadline_ns(const struct if_lan *lan);

/** if_lan_follow() - The interface's address or its IP addresses are others. NULL allowed, as in all that follow */
void if_lan_follow(struct if_lan *lan);

/** if_lan_chan_begin() - Channel @nr lives, of user @uid: an address for it */
void if_lan_chan_begin(struct if_lan *lan, uint32_t nr, uint32_t uid);

/** if_lan_chan_end() - And no longer; it is still in the maps */
void if_lan_chan_end(struct if_lan *lan, uint32_t nr);

/** if_lan_sweep() - What an earlier vjd has claimed, and nobody has stated by now, is nobody's */
void if_lan_sweep(struct if_lan *lan);

/** if_lan_port_changed() - The map `ports` says @now at @key, where it said @was. Count 0: nobody's */
void if_lan_port_changed(struct if_lan *lan, const struct policy_port *key, const struct policy_owner *was,
			 const struct policy_owner *now);

/**
 * if_lan_lend() - The MAC address of channel @nr, to be told of for all that is the application's at an address of its own
 * It counts as given for a while (docs/parp.md 5): as long as it is told, this is to be called again.
 * Return: false: it has none, or nothing would get there; @ret_mac is untouched
 */
bool if_lan_lend(struct if_lan *lan, uint32_t nr, struct mac_addr *ret_mac);

/** if_lan_take_back() - Others may go on sending there what is not all its own any more: another MAC address for channel @nr */
void if_lan_take_back(struct if_lan *lan, uint32_t nr);

/** if_lan_ask() - What is asked of others there */
struct if_ask *if_lan_ask(struct if_lan *lan);

/** if_lan_entry() - What is in place @pos: claimed ones, then learned ones. Return: false: nothing. @ret_end: nor behind */
bool if_lan_entry(const struct if_lan *lan, uint32_t pos, struct ctl_mac *ret, bool *ret_end);

enum { IF_LAN_COUNTERS = PARP_ERR_CNT + 31 };

/**
 * if_lan_counter() - What was heard, by what the parser said of it; what claims, owner and resolver made of it
 * @pos: below IF_LAN_COUNTERS; @ret_where, @ret_name: constant words, as `vj status` shows them
 */
uint64_t if_lan_counter(const struct if_lan *lan, uint32_t pos, const char **ret_where, const char **ret_name);

/** if_lan_macs() - What addresses of applications are good for there. NULL allowed */
enum ctl_macs if_lan_macs(const struct if_lan *lan);

/** if_lan_mac() - That of channel @nr. Return: false: none of its own yet */
bool if_lan_mac(const struct if_lan *lan, uint32_t nr, struct mac_addr *ret_mac);

#endif
