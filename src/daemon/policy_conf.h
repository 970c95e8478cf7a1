/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * policy_conf.h - what users may have at interfaces: /etc/vjchan/policy.conf
 *
 *	# the first line whose user fits decides
 *	user redis  ports 6379,7000-7010  memory 256M
 *	user 1000   interfaces eth0 ports 1024-65535
 *	user *      interfaces none
 *
 *	user WHO	name, number, or * for everybody
 *	interfaces LIST	names with commas, "all" (default) or "none": where the user may have channels
 *	ports LIST	ports and ranges with commas, "all" (default) or "none": what may be dispatched to a channel. A port that may
 *			not, stays the kernel's, which serves it as if there were no vjchan
 *	memory SIZE	of all channels of the user, with K, M or G; default: vjd --memory-max
 *	macs NUMBER	channels at one interface that get a MAC address of their own; default: all
 *	addresses NUMBER	channels at one interface that get an IPv6 address of their own, where there is a prefix for them; default: all
 *
 * Each word once on a line. Without a file everybody may have everything. With one, who isn't named gets no channel at an
 * interface. Privileged ports are the kernel's to give: a lease is proved by a socket that is bound.
 */
#ifndef DAEMON_POLICY_CONF_H
#define DAEMON_POLICY_CONF_H

#include "base/types.h"

enum { POLICY_RULES_MAX = 256, POLICY_LIST_MAX = 16, POLICY_WHY_BYTES = 160 };

struct port_range {
	uint16_t first, last;
};

struct policy_rule {
	bool everybody;
	uint32_t uid;
	bool all_ports, all_interfaces;
	unsigned port_cnt, interface_cnt;
	struct port_range ports[POLICY_LIST_MAX];
	char interfaces[POLICY_LIST_MAX][16];
	uint64_t memory_max; /* 0: not said */
	uint32_t macs_max, addresses_max;
};

struct policy_conf {
	unsigned cnt;
	struct policy_rule rules[POLICY_RULES_MAX];
};

/**
 * policy_conf_parse() - Read the text of a policy
 * @text:    zero-terminated; changed
 * @uid_of:  number of a user's name. Return: false: there is no such user
 * @ret_why: "line 3: ..." if it fails
 * Return: 0; -EINVAL, @ret_conf is undefined
 */
int policy_conf_parse(char *text, bool (*uid_of)(const char *name, uint32_t *ret_uid), struct policy_conf *ret_conf,
		      char ret_why[static POLICY_WHY_BYTES]);

/**
 * policy_conf_load() - Read a file
 * Return: 0; -ENOENT; -EINVAL and others, with @ret_why "FILE: line 3: ..."
 */
int policy_conf_load(const char *path, struct policy_conf *ret_conf, char ret_why[static POLICY_WHY_BYTES]);

/** policy_of() - The rule for a user; NULL: none. @conf NULL: the rule that allows everything */
const struct policy_rule *policy_of(const struct policy_conf *conf, uint32_t uid);

/** policy_may_port() - @rule may be NULL: no */
bool policy_may_port(const struct policy_rule *rule, uint16_t port);

/** policy_may_interface() - @rule may be NULL: no */
bool policy_may_interface(const struct policy_rule *rule, const char *name);

#endif
