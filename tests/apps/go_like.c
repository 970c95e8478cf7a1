// SPDX-License-Identifier: BSD-2-Clause
/*
 * go_like.c - a program that looks as if Go's linker had made it: functions of libc make connections, what reads them are system calls that nobody sees
 *
 * Says "read" when all was read, and stays until the end of its standard input.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

__asm__(".pushsection .note.go.buildid, \"a\", %note\n"
	".balign 4\n"
	".long 4, 4, 4\n"
	".ascii \"Go\\0\\0test\"\n"
	".popsection\n");

enum { TIMES = 8, SOON_US = 20000 };

static void *serve(void *arg)
{
	int listener = *(int *)arg;

	for (int i = 0; i < TIMES; i++) {
		int fd = accept(listener, NULL, NULL);

		if (fd < 0 || write(fd, "word", 4) != 4 || close(fd))
			exit(1);
	}
	return NULL;
}

int main(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	long (*own_call)(long number, ...);
	socklen_t len = sizeof(at);
	pthread_t server;
	char word[4];

	*(void **)&own_call = dlsym(dlopen("libc.so.6", RTLD_LAZY), "syscall");
	if (bind(listener, (struct sockaddr *)&at, sizeof(at)) || listen(listener, TIMES) || getsockname(listener, (struct sockaddr *)&at, &len) ||
	    pthread_create(&server, NULL, serve, &listener))
		return 1;
	usleep(SOON_US); /* it waits */
	for (int i = 0; i < TIMES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (connect(fd, (struct sockaddr *)&at, sizeof(at)) || own_call(SYS_read, fd, word, sizeof(word)) != sizeof(word) || memcmp(word, "word", sizeof(word)) != 0)
			return 1;
		close(fd);
	}
	puts("read");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
