/* SPDX-License-Identifier: BSD-2-Clause */
/* own_vjd.h - a private vjd on a socket of the test's own, for tests of the library within one process */
#ifndef TESTS_NET_OWN_VJD_H
#define TESTS_NET_OWN_VJD_H

#include <stdint.h>
#include <sys/types.h>

/* What has to come at some time is waited for so long: the machine may be busy. */
enum { PATIENT_MS = 60000 };

extern char socket_path[64];
extern pid_t vjd_pid;

/* A directory for the socket, and the first vjd. Return: whether it could be made */
int vjd_begin(void);
/* Ends the last vjd, and removes the directory. */
void vjd_end(void);

/* Another one, in the place of one that was killed. */
void vjd_start(void);
void vjd_kill(int sig);

/* Applications that vjd knows. */
int vjd_apps(void);

uint64_t now_ms(void);

/* pump() is the test's own. */
#define PUMP_UNTIL(cond)                                                                 \
	do {                                                                             \
		uint64_t until_ = now_ms() + PATIENT_MS;                                 \
		while (!(cond)) {                                                        \
			pump();                                                          \
			if (now_ms() > until_)                                           \
				fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #cond); \
		}                                                                        \
	} while (0)

#endif
