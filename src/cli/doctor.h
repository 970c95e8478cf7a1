/* SPDX-License-Identifier: BSD-2-Clause */
/* doctor.h - vj doctor: what is looked at, and how it is said */
#ifndef VJ_CLI_DOCTOR_H
#define VJ_CLI_DOCTOR_H

#include "base/types.h"

enum finding {
	FINDING_OK,
	FINDING_NOTE, /* works, but not as well as it could, or not with everything */
	FINDING_BAD,  /* channels at interfaces don't work */
};

/**
 * doctor_say() - One line
 * @what: a word for what was looked at
 * @mend: the command that mends it, or NULL
 */
void doctor_say(enum finding finding, const char *what, const char *mend, const char *fmt, ...) VJ_PRINTF(4, 5);

/** doctor_faults_only() - From now on what is well is not said */
void doctor_faults_only(void);

/** doctor_attached() - A vjd that runs has this interface: what is there of vjchan's is its own */
void doctor_attached(uint32_t ifindex);

/** doctor_interface() - Look at one; @closely: for a second, at what comes in, too. Return: 0; -ENODEV */
int doctor_interface(const char *name, bool closely);

/** doctor_checksums() - Do frames come in whose checksums nobody has filled in? For root; takes a second */
void doctor_checksums(const char *name, uint32_t ifindex);

#endif
