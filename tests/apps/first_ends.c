// SPDX-License-Identifier: BSD-2-Clause
/* first_ends.c - a server whose first thread has ended: says its port, and waits for clients until the end of its standard input */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

static void *waits(void *arg)
{
	(void)accept(*(int *)arg, NULL, NULL);
	return NULL;
}

static void *ends(void *arg)
{
	while (getchar() != EOF)
		;
	exit(0);
	return arg;
}

int main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	static int listener;
	pthread_t thread;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, 1) || getsockname(listener, (struct sockaddr *)&at, &len) ||
	    pthread_create(&thread, NULL, waits, &listener) || pthread_create(&thread, NULL, ends, NULL))
		return 1;
	printf("%d\n", ntohs(at.sin_port));
	fflush(stdout);
	pthread_exit(NULL);
}
