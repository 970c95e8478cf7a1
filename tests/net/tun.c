// SPDX-License-Identifier: BSD-2-Clause
#include "tests/net/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX 65536
#define WAIT_MS_MAX 10
/* <netinet/tcp.h> has names that are ours, too. */
#define KERNEL_TCP_CONGESTION 13

/* The kernel's struct in6_ifreq: its header does not go together with libc's. */
struct ip6_request {
	struct in6_addr addr;
	uint32_t prefix_len;
	int ifindex;
};

static void host_addr(unsigned int side, bool v6, uint16_t port, struct sockaddr_storage *ret,
		      socklen_t *ret_len)
{
	memset(ret, 0, sizeof(*ret));
	if (v6) {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ret;

		*sin6 = (struct sockaddr_in6){
			.sin6_family = AF_INET6,
			.sin6_port = htons(port),
			.sin6_addr.s6_addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(1 + side) },
		};
		*ret_len = sizeof(*sin6);
	} else {
		struct sockaddr_in *sin = (struct sockaddr_in *)ret;

		*sin = (struct sockaddr_in){
			.sin_family = AF_INET,
			.sin_port = htons(port),
			.sin_addr.s_addr = htonl(0x0a000001 + side),
		};
		*ret_len = sizeof(*sin);
	}
}

/* ---- the device ------------------------------------------------------------------------------ */

static const char *device_up(const char *name, unsigned int side)
{
	int s4 = socket(AF_INET, SOCK_DGRAM, 0), s6 = socket(AF_INET6, SOCK_DGRAM, 0);
	struct ifreq req = { 0 };
	struct sockaddr_storage addr;
	struct sockaddr_in mask = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xffffff00) };
	struct ip6_request req6 = { .prefix_len = 64 };
	const char *failed = NULL;
	socklen_t len;

	strcpy(req.ifr_name, name);
	host_addr(side, false, 0, &addr, &len);
	memcpy(&req.ifr_addr, &addr, sizeof(req.ifr_addr));
	if (ioctl(s4, SIOCSIFADDR, &req) != 0)
		failed = "an IPv4 address";
	memcpy(&req.ifr_netmask, &mask, sizeof(mask));
	if (failed == NULL && ioctl(s4, SIOCSIFNETMASK, &req) != 0)
		failed = "a netmask";
	req.ifr_flags = IFF_UP | IFF_RUNNING;
	if (failed == NULL && ioctl(s4, SIOCSIFFLAGS, &req) != 0)
		failed = "a device that is up";
	host_addr(side, true, 0, &addr, &len);
	req6.addr = ((struct sockaddr_in6 *)&addr)->sin6_addr;
	req6.ifindex = (int)if_nametoindex(name);
	if (failed == NULL && ioctl(s6, SIOCSIFADDR, &req6) != 0)
		failed = "an IPv6 address";
	close(s4);
	close(s6);
	return failed;
}

static void tun_deliver(void *arg, const uint8_t *frame, uint32_t len)
{
	struct tun *tun = arg;

	if (write(tun->fd, frame + 14, len - 14) < 0)
		tun->dropped++;
}

const char *tun_open(struct tun *tun, unsigned int side)
{
	struct ifreq req = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	*tun = (struct tun){ .side = side, .outside = { .arg = tun, .deliver = tun_deliver } };
	if (unshare(CLONE_NEWNET) != 0)
		return "a network namespace";
	tun->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tun->fd < 0)
		return "/dev/net/tun";
	strcpy(req.ifr_name, "wire");
	if (ioctl(tun->fd, TUNSETIFF, &req) != 0)
		return "a TUN device";
	return device_up("wire", side);
}

/* ---- sockets --------------------------------------------------------------------------------- */

int tun_socket(unsigned int side, bool v6, uint16_t port)
{
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage addr;
	socklen_t len;
	int on = 1;

	VJ_ASSERT(fd >= 0);
	host_addr(side, v6, port, &addr, &len);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	VJ_ASSERT(setsockopt(fd, IPPROTO_TCP, KERNEL_TCP_CONGESTION, "cubic", 5) == 0);
	VJ_ASSERT(bind(fd, (struct sockaddr *)&addr, len) == 0);
	return fd;
}

int tun_udp_socket(unsigned int side, bool v6, uint16_t port)
{
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_storage addr;
	socklen_t len;

	VJ_ASSERT(fd >= 0);
	host_addr(side, v6, port, &addr, &len);
	VJ_ASSERT(bind(fd, (struct sockaddr *)&addr, len) == 0);
	return fd;
}

void tun_socket_connect(int fd, unsigned int side, bool v6, uint16_t port)
{
	struct sockaddr_storage addr;
	socklen_t len;

	host_addr(side, v6, port, &addr, &len);
	VJ_ASSERT(connect(fd, (struct sockaddr *)&addr, len) == 0 || errno == EINPROGRESS);
}

/* ---- time ------------------------------------------------------------------------------------ */

static uint64_t offset_us; /* of the simulator's time from the monotonic clock */

static uint64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void tun_start(const struct two_stacks *sim)
{
	offset_us = sim->now_us - clock_us();
}

static void run_to(struct two_stacks *sim, uint64_t now_us)
{
	sim->idle_steps = 0;
	while (two_stacks_step(sim, now_us))
		;
}

static void take_packets(struct two_stacks *sim, struct tun *tun)
{
	static uint8_t frame[PACKET_MAX] = { 2, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0 };
	ssize_t len;

	frame[5] = (uint8_t)(2 - tun->side);
	frame[11] = (uint8_t)(tun->side + 1);
	while ((len = read(tun->fd, frame + 14, sizeof(frame) - 14)) > 0) {
		bool v6 = frame[14] >> 4 == 6;

		frame[12] = v6 ? 0x86 : 0x08;
		frame[13] = v6 ? 0xdd : 0x00;
		two_stacks_send(sim, tun->side, frame, (uint32_t)len + 14);
	}
}

void tun_pump(struct two_stacks *sim, struct tun *const tuns[2], const int fds[2])
{
	struct pollfd polled[4];
	uint64_t now_us = clock_us() + offset_us, next_us;
	struct timespec wait = { 0 };

	run_to(sim, now_us);
	for (unsigned int i = 0; i < 2; i++)
		if (tuns[i] != NULL)
			take_packets(sim, tuns[i]);
	run_to(sim, now_us);
	for (unsigned int i = 0; i < 2; i++) {
		polled[i] = (struct pollfd){ tuns[i] != NULL ? tuns[i]->fd : -1, POLLIN, 0 };
		polled[2 + i] = (struct pollfd){ fds[i], POLLIN, 0 };
	}
	next_us = min_u64(two_stacks_next_us(sim), now_us + WAIT_MS_MAX * 1000);
	now_us = clock_us() + offset_us;
	if (next_us > now_us)
		wait.tv_nsec = (long)(next_us - now_us) * 1000;
	ppoll(polled, 4, &wait, NULL);
}
