/* SPDX-License-Identifier: BSD-2-Clause */
/* talk.h - a conversation by libc's streams */
#ifndef TESTS_APPS_TALK_H
#define TESTS_APPS_TALK_H

#include <stddef.h>

/* Until the end of standard input. Return: 0; 1: a stream failed. */
int talk(void);

/* Of what is sent for "big" */
static inline char talk_byte(size_t at)
{
	return (char)(at * 2654435761u >> 11);
}

#endif
