// SPDX-License-Identifier: BSD-2-Clause
/*
 * talk.c - a conversation by libc's streams, on descriptors 0 and 1; in procs, and as a program without any library
 *
 * Each line comes back. "big BYTES" is answered with so many bytes, in one call.
 */
#include "talk.h"

#include <stdio.h>
#include <stdlib.h>

static int say_big(size_t bytes)
{
	char *buf = malloc(bytes);
	size_t n;

	for (size_t i = 0; buf && i < bytes; i++)
		buf[i] = talk_byte(i);
	n = buf ? fwrite(buf, 1, bytes, stdout) : 0;
	free(buf);
	return n != bytes;
}

int talk(void)
{
	char line[128];
	size_t bytes;
	int bad = 0;

	while (!bad && fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "big %zu", &bytes) == 1)
			bad = say_big(bytes);
		else
			bad = fputs(line, stdout) < 0;
		bad |= fflush(stdout);
	}
	return bad || ferror(stdin);
}

#ifdef TALK_ALONE
int main(void)
{
	return talk();
}
#endif
