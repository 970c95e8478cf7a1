/* SPDX-License-Identifier: BSD-2-Clause */
/* fw_state.h - what the files behind firewall.h share */
#ifndef DAEMON_FW_STATE_H
#define DAEMON_FW_STATE_H

#include "daemon/firewall.h"
#include "daemon/fw_reader.h"
#include "firewall/fw_pack.h"

#include <sys/queue.h>
#include <sys/types.h>

enum rules {
	RULES_UNREAD, /* nothing is given */
	RULES_NONE,
	RULES_PROGRAM,
};

enum { FW_SHOWS_MAX = 8 };

struct fw_pending;

/* What is known of ports, until rules change: by struct fw_port_key, and for all ports each. */
struct fw_known {
	struct fw_known_row *rows; /* by hash; @max of them, a power of two, or none */
	uint32_t cnt, max;
};

struct firewall {
	struct fw_reader *reader;
	enum rules rules;
	uint32_t nr; /* of these rules; never 0 */
	struct fw_bytes_read bytes; /* of RULES_PROGRAM: what @res points to */
	struct fw_result res;
	struct fw_known known;
	LIST_HEAD(fw_pending_list, fw_pending) pending; /* images that are in force, and go on with what the ones before have counted last */
	bool failed; /* the last read did */
	char told[FW_WHY_BYTES]; /* of RULES_UNREAD: why, as logged; "": not yet */
	pid_t shows[FW_SHOWS_MAX]; /* processes that print rules for somebody; 0: none */
};

/** firewall_settled() - Nobody runs an image of before any more */
void firewall_settled(struct firewall *fw);

/** fw_known_renew() - Other rules, of which the reader has answered some: what was asked before and isn't among these is asked again when it is wanted */
void fw_known_renew(struct firewall *fw, const struct fw_result *res);

/** fw_known_fd() - What has been asked, for the reader. Return: a memfd, the caller's; negative errno */
int fw_known_fd(const struct fw_known *k);

/** fw_known_free() - Nothing is known */
void fw_known_free(struct fw_known *k);

#endif
