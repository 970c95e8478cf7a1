/* SPDX-License-Identifier: BSD-2-Clause */
/* native.h - what the parts of native share: two applications in one process */
#ifndef TESTS_NET_NATIVE_H
#define TESTS_NET_NATIVE_H

#include "own_vjd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <vj/vj.h>

#include <cmocka.h>

extern struct vj *a, *b; /* a serves, b asks */

struct vj *app_open(const char *name);
int pair_setup(void **state);
int pair_teardown(void **state);
struct sockaddr_storage address(int family, uint16_t port); /* of this host; 0: any port */
socklen_t address_len(int family);
void pump(void); /* one turn of both */
uint8_t pattern(uint64_t i);

void test_udp(void **state);

#endif
