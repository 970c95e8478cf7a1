// SPDX-License-Identifier: BSD-2-Clause
/*
 * lwIP as the far end of a wire, in this process and in virtual time
 *
 * Debian's liblwip is built for threads, but nothing of it needs them: its raw interface is called
 * from one thread, timers run when sys_check_timeouts() is called, and the clock, sys_now(), is
 * ours, since the program's symbol comes before the library's. The library is loaded with dlopen()
 * because half of its functions have the names of ours.
 *
 * One connection. lwIP has global variables, so one run in a process.
 */
#ifndef VJ_TESTS_SIM_LWIP_SIDE_H
#define VJ_TESTS_SIM_LWIP_SIDE_H

#include "base/types.h"

struct lwip_side {
	/* Called with each IP packet that it sends */
	void (*output)(void *arg, const void *packet, uint32_t len);
	/* In-order payload; it is acknowledged when lwip_consumed() is told */
	void (*received)(void *arg, const uint8_t *data, uint32_t len);
	void *arg;
	/* What happened so far */
	bool connected, eof, failed;
};

/* Before all else. Return: false: there is no liblwip. */
bool lwip_load(void);

/* Return: false: it does not want to. */
bool lwip_start(struct lwip_side *side, bool v6, uint32_t seed);
/* Its address is 10.0.0.2 or 2001:db8::2. Return: false: it does not want to. */
bool lwip_listen(uint16_t port);
bool lwip_connect(uint16_t remote_port); /* at 10.0.0.1 or 2001:db8::1 */

void lwip_input(const void *packet, uint32_t len);
void lwip_run(uint64_t now_us);
uint64_t lwip_deadline_us(void);

/* Return: bytes taken. */
uint32_t lwip_send(const void *data, uint32_t len);
void lwip_consumed(uint32_t len);
/* No more will be sent. Return: false: no memory, try again. */
bool lwip_shutdown(void);

#endif
