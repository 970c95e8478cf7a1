// SPDX-License-Identifier: BSD-2-Clause
/* native_pair.c - two applications of one process, a private vjd between them */
#include "native.h"

#include <netinet/in.h>
#include <string.h>

struct vj *app_open(const char *name)
{
	struct vj_options o = VJ_OPTIONS_INIT;
	struct vj *vj;

	o.name = name;
	o.socket_path = socket_path;
	assert_int_equal(vj_open(&o, &vj), 0);
	return vj;
}

/* ---- two applications ------------------------------------------------------------------------------------------ */

struct vj *a, *b; /* a serves, b asks */

int pair_setup(void **state)
{
	(void)state;
	a = app_open("server");
	b = app_open("client");
	return 0;
}

int pair_teardown(void **state)
{
	(void)state;
	vj_close(a);
	vj_close(b);
	return 0;
}

struct sockaddr_storage address(int family, uint16_t port)
{
	struct sockaddr_storage ss = { 0 };

	if (family == AF_INET) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		memcpy(&ss, &in, sizeof(in));
	} else {
		struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

		in6.sin6_addr = in6addr_loopback;
		memcpy(&ss, &in6, sizeof(in6));
	}
	return ss;
}

socklen_t address_len(int family)
{
	return family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

void pump(void)
{
	vj_process(a);
	vj_process(b);
}

uint8_t pattern(uint64_t i)
{
	return (uint8_t)((i * 2654435761u) >> 13);
}
