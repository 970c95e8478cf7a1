// SPDX-License-Identifier: BSD-2-Clause
/* vj doctor: does this host have what channels at interfaces need? Each line says what it means and what mends it. */
#include "cli/ask.h"
#include "cli/cmd.h"
#include "cli/doctor.h"
#include "lib/ctl_client.h"

#include <errno.h>
#include <jansson.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

enum {
	KERNEL_MAJOR = 6, /* the oldest that vjchan is for, see README */
	KERNEL_MINOR = 1,
	CHANNEL_MIB = 8, /* at an MTU above 1778; else half of it */
	TEXT_BYTES = 512,
};

const struct opt doctor_opts[] = {
	{ .name = "json",
	  .type = OPT_FLAG,
	  .offset = offsetof(struct ask_options, json),
	  .help = "all in one JSON object: checks, each with what, finding (ok, note, BAD), text and mend" },
	ASK_OPT_SOCKET(offsetof(struct ask_options, socket)),
	{ 0 },
};

static unsigned findings[FINDING_BAD + 1];
static bool faults_only;
static json_t *sheet; /* of --json; NULL: lines */

void doctor_faults_only(void)
{
	faults_only = true;
}

void doctor_say(enum finding finding, const char *what, const char *mend, const char *fmt, ...)
{
	static const char *const words[] = { "ok", "note", "BAD" };
	char text[TEXT_BYTES];
	va_list ap;

	findings[finding]++;
	if (faults_only && finding == FINDING_OK)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (sheet != NULL) {
		json_array_append_new(sheet, json_pack("{s:s, s:s, s:s, s:s?}", "what", what, "finding", words[finding], "text",
						       text, "mend", mend));
		return;
	}
	printf("%-5s %-14s %s\n", words[finding], what, text);
	if (mend != NULL)
		printf("%-20s mend: %s\n", "", mend);
}

static void print_sheet(void)
{
	json_t *root = json_pack("{s:o, s:b}", "checks", sheet, "works", findings[FINDING_BAD] == 0);

	json_dumpf(root, stdout, CMD_JSON);
	putchar('\n');
	json_decref(root);
}

/* ---- the kernel */

static void look_at_kernel(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	if (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR))
		doctor_say(FINDING_OK, "kernel", NULL, "Linux %s is recent enough", u.release);
	else
		doctor_say(FINDING_BAD, "kernel", "apt install linux-image-amd64, or your distribution's newer kernel",
			   "Linux %s; %d.%d is the oldest that will do", u.release, KERNEL_MAJOR, KERNEL_MINOR);
}

static void look_at_privilege(void)
{
	if (geteuid() == 0)
		doctor_say(FINDING_OK, "privilege", NULL, "root, as vjd with interfaces has to be (applications need nothing)");
	else
		doctor_say(FINDING_NOTE, "privilege", "sudo vj doctor", "not root: some of what follows can't be looked at");
}

/* Something that only root may do was refused, and so not looked at. Of root: a container, or a service, without the capability. */
static void say_refused(const char *what, const char *capability)
{
	if (geteuid() == 0)
		doctor_say(FINDING_BAD, what, "run vjd and vj doctor outside of this container, or with that capability",
			   "refused though you are root: %s is missing", capability);
	else
		doctor_say(FINDING_NOTE, what, "sudo vj doctor", "for root only: not looked at");
}

/* The smallest map that there is. Return: 0; negative errno */
static int try_bpf(void)
{
	union bpf_attr attr;
	long fd;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = attr.value_size = sizeof(uint32_t);
	attr.max_entries = 1;
	fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		return -errno;
	close((int)fd);
	return 0;
}

/* As vjd checks it: who may write there could replace what vjd finds again. */
static bool pins_are_safe(void)
{
	struct stat top, st;

	if (stat("/sys/fs/bpf", &top) == 0 &&
	    (top.st_uid != 0 || ((top.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (top.st_mode & S_ISVTX) == 0)))
		return false;
	if (lstat("/sys/fs/bpf/vjchan", &st) != 0)
		return true;
	return S_ISDIR(st.st_mode) && st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static void look_at_bpf_fs(void)
{
	struct statfs fs;

	if (statfs("/sys/fs/bpf", &fs) != 0 || fs.f_type != BPF_FS_MAGIC)
		doctor_say(FINDING_NOTE, "bpffs", "mount -t bpf -o mode=700 bpf /sys/fs/bpf",
			   "not mounted; vjd will, but in a mount namespace of its own it is lost with that");
	else if (!pins_are_safe())
		doctor_say(FINDING_BAD, "bpffs", "chown root /sys/fs/bpf; chmod 700 /sys/fs/bpf; rm -r /sys/fs/bpf/vjchan",
			   "/sys/fs/bpf or vjchan in it is another user's, or others may write there: vjd will not use it");
	else
		doctor_say(FINDING_OK, "bpffs", NULL, "/sys/fs/bpf keeps what outlives vjd");
}

static void look_at_bpf(void)
{
	int r = try_bpf();

	if (r == 0)
		doctor_say(FINDING_OK, "bpf", NULL, "programs can be loaded");
	else if (r == -EPERM)
		say_refused("bpf", "CAP_BPF");
	else
		doctor_say(FINDING_BAD, "bpf", "a kernel with CONFIG_BPF_SYSCALL", "no BPF: %s", strerror(-r));
	look_at_bpf_fs();
}

static void look_at_xdp_sockets(void)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		doctor_say(FINDING_OK, "af_xdp", NULL, "sockets can be made");
		close(fd);
	} else if (errno == EPERM) {
		say_refused("af_xdp", "CAP_NET_RAW");
	} else {
		doctor_say(FINDING_BAD, "af_xdp", "a kernel with CONFIG_XDP_SOCKETS", "no sockets: %s", strerror(errno));
	}
}

/* ---- memory */

static bool has_capability(int nr)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return syscall(SYS_capget, &head, data) == 0 && (data[CAP_TO_INDEX(nr)].effective & CAP_TO_MASK(nr)) != 0;
}

static void look_at_memlock(void)
{
	struct rlimit rl;

	getrlimit(RLIMIT_MEMLOCK, &rl);
	if (has_capability(CAP_IPC_LOCK))
		doctor_say(FINDING_OK, "memlock", NULL, "no limit for vjd, which has CAP_IPC_LOCK; each channel locks up to %d MiB",
			   CHANNEL_MIB);
	else if (geteuid() == 0 && rl.rlim_cur < (rlim_t)CHANNEL_MIB << 20)
		doctor_say(FINDING_BAD, "memlock", "LimitMEMLOCK=infinity in vjd's unit, or ulimit -l unlimited",
			   "%llu KiB, and CAP_IPC_LOCK is missing; each channel locks up to %d MiB", (unsigned long long)rl.rlim_cur / 1024,
			   CHANNEL_MIB);
	else if (rl.rlim_cur == RLIM_INFINITY)
		doctor_say(FINDING_OK, "memlock", NULL, "no limit");
	else
		doctor_say(FINDING_NOTE, "memlock", "run vjd as root, or LimitMEMLOCK=infinity in its unit",
			   "%llu KiB; each channel locks up to %d MiB, at vjd's account", (unsigned long long)rl.rlim_cur / 1024,
			   CHANNEL_MIB);
}

/* Return: the number behind @key in /proc/meminfo; 0: it isn't there */
static unsigned long meminfo(const char *key)
{
	FILE *f = fopen("/proc/meminfo", "r");
	unsigned long value = 0;
	char line[128];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoul(line + strlen(key), NULL, 10);
	if (f != NULL)
		fclose(f);
	return value;
}

static void look_at_huge_pages(void)
{
	unsigned long total = meminfo("HugePages_Total:"), left = meminfo("HugePages_Free:");

	if (left > 0)
		doctor_say(FINDING_OK, "huge pages", NULL, "%lu of %lu are free; channels between programs take them", left,
			   total);
	else
		doctor_say(FINDING_NOTE, "huge pages", "sysctl vm.nr_hugepages=64",
			   "none free (of %lu): channels use small pages, which costs some per cent", total);
}

/* Of anonymous memory, of which a stack's connections are */
static void look_at_transparent_pages(void)
{
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	char line[128] = "";

	if (f != NULL) {
		if (fgets(line, sizeof(line), f) == NULL)
			line[0] = '\0';
		fclose(f);
	}
	if (strstr(line, "[always]") != NULL || strstr(line, "[madvise]") != NULL)
		doctor_say(FINDING_OK, "transparent", NULL, "huge pages for those who ask; connections by the thousand are kept in them");
	else
		doctor_say(FINDING_NOTE, "transparent", "echo madvise >/sys/kernel/mm/transparent_hugepage/enabled",
			   "no transparent huge pages: connections are kept in small ones, which slows down hundreds of thousands of them");
}

/* ---- vjd */

/* What vjd has found out where it is attached. */
static void look_at_attached(void *arg, const struct ctl_msg *msg)
{
	const struct ctl_interface *i = &msg->interface;

	(void)arg;
	if (msg->type != CTL_STATUS_INTERFACE || i->memory_bytes > 0 || (i->flags & CTL_INTERFACE_GATEWAY) != 0)
		return;
	doctor_attached(i->ifindex);
	switch (i->macs) {
	case CTL_MACS_REACHED:
		doctor_say(FINDING_OK, i->name, NULL, "applications are reached at MAC addresses of their own");
		break;
	case CTL_MACS_BLOCKED:
		doctor_say(FINDING_NOTE, i->name, "on the switch: no port security there; a hypervisor: foreign MAC addresses; clouds: none",
			   "nothing sent to applications' MAC addresses arrives: they are told apart by port, which works everywhere");
		break;
	case CTL_MACS_ONE:
		doctor_say(FINDING_NOTE, i->name, NULL, "has one MAC address only: applications are told apart by port");
		break;
	default:
		break;
	}
}

static void look_at_vjd(const char *socket)
{
	char why[CTL_CLIENT_WHY_BYTES];
	struct ctl_client *client;
	const struct ctl_welcome *w;
	int r = ctl_client_open_why(socket, "vj doctor", CTL_HELLO_OBSERVER, &client, why);

	if (r < 0) {
		doctor_say(FINDING_NOTE, "vjd", "sudo systemctl start vjd-interfaces", "%s", why);
		return;
	}
	w = ctl_client_welcome(client);
	if (w->private_mode)
		doctor_say(FINDING_NOTE, "vjd", "sudo systemctl start vjd-interfaces",
			   "a private one, at %s: channels between programs of this user only", ctl_client_path(client));
	else if (w->interfaces == 0)
		doctor_say(FINDING_NOTE, "vjd", "sudo vj attach INTERFACE", "serves at %s; no interface is attached",
			   ctl_client_path(client));
	else
		doctor_say(FINDING_OK, "vjd", NULL, "serves at %s; %u interface%s attached", ctl_client_path(client),
			   w->interfaces, plural(w->interfaces));
	if (w->interfaces > 0)
		(void)ctl_client_status(client, look_at_attached, NULL);
	ctl_client_close(client);
}

/* ---- interfaces */

static void look_at_named(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (doctor_interface(argv[i], true) < 0)
			doctor_say(FINDING_BAD, argv[i], "choose one of: ip link", "there is no interface '%s'", argv[i]);
}

static void look_at_all(void)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i != NULL && i->if_index != 0; i++)
		if (strncmp(i->if_name, "vjh", 3) != 0 && strcmp(i->if_name, "lo") != 0)
			doctor_interface(i->if_name, false);
	if (all != NULL)
		if_freenameindex(all);
}

int cmd_doctor(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	const struct ask_options *o = opts;

	(void)cmd;
	sheet = o->json ? json_array() : NULL;
	look_at_kernel();
	look_at_privilege();
	look_at_bpf();
	look_at_xdp_sockets();
	look_at_memlock();
	look_at_huge_pages();
	look_at_transparent_pages();
	look_at_vjd(o->socket);
	if (argc > 0)
		look_at_named(argc, argv);
	else
		look_at_all();
	if (sheet != NULL)
		print_sheet();
	return findings[FINDING_BAD] > 0 ? EXIT_FAILED : EXIT_OK;
}
