// SPDX-License-Identifier: BSD-2-Clause
/*
 * The kernel under the same interface: a TUN device in a network namespace of this process, in real time
 *
 * To see what Linux does where the adapter shall do the same. Needs root.
 */
#include "tests/packetdrill/drive.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

static int tun_fd;

static int shell(const char *command)
{
	int status = system(command);

	if (status != 0)
		fprintf(stderr, "failed: %s\n", command);
	return status == 0 ? 0 : -EIO;
}

static int tun_open(const struct drive_flow *v4, const struct drive_flow *v6)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI, .ifr_name = "tun0" };
	char text4[64], text6[64], command[1024];

	tun_fd = open("/dev/net/tun", O_RDWR);
	if (tun_fd < 0 || ioctl(tun_fd, TUNSETIFF, &ifr) != 0)
		return -errno;
	inet_ntop(AF_INET, v4->local + 12, text4, sizeof(text4));
	inet_ntop(AF_INET6, v6->local, text6, sizeof(text6));
	snprintf(command, sizeof(command),
		 "ip link set lo up && ip link set tun0 up txqueuelen 1000 && ip addr add %s/16 dev tun0 && "
		 "ip addr add %s/64 dev tun0 nodad && ip route add default dev tun0 && ip -6 route add default dev tun0 && "
		 "sysctl -qw net.ipv4.tcp_rmem='4096 540000 15728640' net.ipv4.tcp_wmem='4096 262144 4194304' "
		 "net.ipv4.tcp_no_metrics_save=1",
		 text4, text6);
	return shell(command);
}

static int k_socket(void *u, int domain, int type, int protocol)
{
	int fd = socket(domain, type, protocol);

	(void)u;
	/* whatever the machine prefers; other namespaces may not choose its default */
	if (fd >= 0)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
	return fd;
}
static int k_bind(void *u, int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)u;
	return bind(fd, addr, len);
}
static int k_listen(void *u, int fd, int backlog)
{
	(void)u;
	return listen(fd, backlog);
}
static int k_accept(void *u, int fd, struct sockaddr *addr, socklen_t *len)
{
	(void)u;
	return accept(fd, addr, len);
}
static int k_connect(void *u, int fd, const struct sockaddr *addr, socklen_t len)
{
	(void)u;
	return connect(fd, addr, len);
}
static ssize_t k_recv(void *u, int fd, void *buf, size_t len, int flags)
{
	(void)u;
	return recv(fd, buf, len, flags);
}
static ssize_t k_send(void *u, int fd, const void *buf, size_t len, int flags)
{
	(void)u;
	return send(fd, buf, len, flags);
}
static ssize_t k_sendto(void *u, int fd, const void *buf, size_t len, int flags, const struct sockaddr *addr,
			socklen_t addr_len)
{
	(void)u;
	return sendto(fd, buf, len, flags, addr, addr_len);
}
static int k_fcntl(void *u, int fd, int cmd, ...)
{
	va_list args;
	long arg;

	(void)u;
	va_start(args, cmd);
	arg = va_arg(args, long);
	va_end(args);
	return fcntl(fd, cmd, arg);
}
static int k_ioctl(void *u, int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	(void)u;
	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	return ioctl(fd, request, arg);
}
static int k_close(void *u, int fd)
{
	(void)u;
	return close(fd);
}
static int k_shutdown(void *u, int fd, int how)
{
	(void)u;
	return shutdown(fd, how);
}
static int k_getsockopt(void *u, int fd, int level, int name, void *value, socklen_t *len)
{
	(void)u;
	return getsockopt(fd, level, name, value, len);
}
static int k_setsockopt(void *u, int fd, int level, int name, const void *value, socklen_t len)
{
	(void)u;
	return setsockopt(fd, level, name, value, len);
}
static int k_poll(void *u, struct pollfd *fds, nfds_t cnt, int timeout_ms)
{
	(void)u;
	return poll(fds, cnt, timeout_ms);
}
static int k_netdev_send(void *u, const void *buf, size_t len)
{
	(void)u;
	return write(tun_fd, buf, len) == (ssize_t)len ? 0 : -1;
}
static int k_usleep(void *u, useconds_t us)
{
	(void)u;
	return usleep(us);
}
static int k_gettimeofday(void *u, struct timeval *tv, struct timezone *tz)
{
	(void)u;
	return gettimeofday(tv, tz);
}
/* What left, with its time: read at once by a thread, since the program sleeps meanwhile */
static struct k_packet {
	struct k_packet *next;
	long long time_us;
	size_t len;
	uint8_t data[DRIVE_PACKET_MAX];
} *k_head, **k_tail = &k_head;
static pthread_mutex_t k_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t k_more = PTHREAD_COND_INITIALIZER;

static void *k_reader(void *arg)
{
	for (;;) {
		struct k_packet *pkt = calloc(1, sizeof(*pkt));
		ssize_t got = pkt != NULL ? read(tun_fd, pkt->data, sizeof(pkt->data)) : -1;
		struct timeval tv;

		if (got <= 0)
			return arg;
		gettimeofday(&tv, NULL);
		pkt->len = (size_t)got;
		pkt->time_us = tv.tv_sec * 1000000LL + tv.tv_usec;
		pthread_mutex_lock(&k_lock);
		*k_tail = pkt;
		k_tail = &pkt->next;
		pthread_cond_signal(&k_more);
		pthread_mutex_unlock(&k_lock);
	}
}

static int k_netdev_receive(void *u, void *buf, size_t *len, long long *time_us)
{
	struct k_packet *pkt;

	(void)u;
	pthread_mutex_lock(&k_lock);
	while (k_head == NULL)
		pthread_cond_wait(&k_more, &k_lock);
	pkt = k_head;
	k_head = pkt->next;
	if (k_head == NULL)
		k_tail = &k_head;
	pthread_mutex_unlock(&k_lock);
	*len = pkt->len < *len ? pkt->len : *len;
	memcpy(buf, pkt->data, *len);
	*time_us = pkt->time_us;
	free(pkt);
	return 0;
}
static int k_epoll_create(void *u, int size)
{
	(void)u;
	return epoll_create(size);
}
static int k_epoll_ctl(void *u, int epfd, int op, int fd, struct epoll_event *event)
{
	(void)u;
	return epoll_ctl(epfd, op, fd, event);
}
static int k_epoll_wait(void *u, int epfd, struct epoll_event *events, int cnt, int timeout_ms)
{
	(void)u;
	return epoll_wait(epfd, events, cnt, timeout_ms);
}
static void k_free(void *u)
{
	(void)u;
}

int drive_kernel_init(struct packetdrill_interface *ret_table, const struct drive_flow *v4, const struct drive_flow *v6)
{
	static bool ready;
	pthread_t reader;
	int err;

	*ret_table = (struct packetdrill_interface){
		.free = k_free,	      .socket = k_socket,	  .bind = k_bind,
		.listen = k_listen,   .accept = k_accept,	  .connect = k_connect,
		.recv = k_recv,	      .send = k_send,		  .fcntl = k_fcntl,
		.ioctl = k_ioctl,     .close = k_close,		  .shutdown = k_shutdown,
		.poll = k_poll,	      .getsockopt = k_getsockopt, .setsockopt = k_setsockopt,
		.usleep = k_usleep,   .netdev_send = k_netdev_send, .netdev_receive = k_netdev_receive,
		.epoll_ctl = k_epoll_ctl, .epoll_create = k_epoll_create, .epoll_wait = k_epoll_wait,
		.gettimeofday = k_gettimeofday, .sendto = k_sendto,
	};
	if (ready)
		return 0;
	if (unshare(CLONE_NEWNET) != 0)
		return -errno;
	ready = true;
	err = tun_open(v4, v6);
	return err != 0 ? err : -pthread_create(&reader, NULL, k_reader, NULL);
}
