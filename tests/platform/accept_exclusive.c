// SPDX-License-Identifier: BSD-2-Clause
/*
 * Of the processes that sleep in epoll_wait(), each on a set of its own in which a listening socket is with EPOLLEXCLUSIVE, a connection wakes
 * one, though nobody takes it. To set TCP_NOTSENT_LOWAT to what it was wakes one more if EPOLLOUT was asked for, too, and nobody if no
 * connection waits.
 */
#include "platform.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { SLEEPERS = 6, SOON_MS = 100, LATE_MS = 10000 };

static struct {
	_Atomic int ready, woke, other;
} *seen;

static void sleeper(int listener)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLEXCLUSIVE };
	int set = epoll_create1(0);

	EXPECT(set >= 0 && !epoll_ctl(set, EPOLL_CTL_ADD, listener, &ev));
	seen->ready++;
	EXPECT(epoll_wait(set, &ev, 1, -1) == 1);
	seen->other += ev.events != EPOLLIN;
	seen->woke++;
	for (;;)
		pause();
}

static void wait_ms(int ms)
{
	nanosleep(&(struct timespec){ .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L }, NULL);
}

static bool is_asleep(pid_t pid)
{
	char path[32], state = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	EXPECT(f && fscanf(f, "%*d %*s %c", &state) == 1);
	fclose(f);
	return state == 'S';
}

/* Whoever is ready sleeps nowhere else. */
static void expect_asleep(const pid_t *pids)
{
	int ms = 0;

	for (; ms < LATE_MS && seen->ready < SLEEPERS; ms++)
		wait_ms(1);
	for (int i = 0; i < SLEEPERS; i++)
		for (; ms < LATE_MS && !is_asleep(pids[i]); ms++)
			wait_ms(1);
	EXPECT(ms < LATE_MS);
}

/* So many are awake, soon, and no more a little later. */
static void expect_woke(int cnt)
{
	for (int ms = 0; ms < LATE_MS && seen->woke < cnt; ms++)
		wait_ms(1);
	wait_ms(SOON_MS);
	EXPECT(seen->woke == cnt);
}

static void call_one(int listener)
{
	int lowat;
	socklen_t len = sizeof(lowat);

	EXPECT(!getsockopt(listener, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, &len));
	EXPECT(!setsockopt(listener, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, len));
}

int main(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
	pid_t pids[SLEEPERS];

	seen = mmap(NULL, sizeof(*seen), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	EXPECT(seen != MAP_FAILED && !bind(listener, (struct sockaddr *)&a, sizeof(a)) && !listen(listener, 8));
	EXPECT(!getsockname(listener, (struct sockaddr *)&a, &len));
	for (int i = 0; i < SLEEPERS; i++) {
		pids[i] = fork();
		EXPECT(pids[i] >= 0);
		if (!pids[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			sleeper(listener);
		}
	}
	expect_asleep(pids);
	call_one(listener);
	expect_woke(0);
	EXPECT(!connect(client, (struct sockaddr *)&a, sizeof(a)));
	expect_woke(1);
	for (int cnt = 2; cnt <= 3; cnt++) {
		call_one(listener);
		expect_woke(cnt);
	}
	EXPECT(!seen->other);
	for (int i = 0; i < SLEEPERS; i++)
		EXPECT(!kill(pids[i], SIGKILL) && waitpid(pids[i], NULL, 0) == pids[i]);
	return 0;
}
