// SPDX-License-Identifier: BSD-2-Clause
/*
 * vj why: every socket of a process, whether it is on a channel, and if not, why.
 *
 * The library in the process knows its sockets and their reasons, and tells them through vjd (CTL_REPORT_SOCKS). /proc
 * shows which sockets there are at all, and the addresses of those that are the kernel's. Where nobody answers, the
 * reason is that of the whole process: not under vj run, statically linked, no vjd. A program under vj run attaches to vjd when it
 * is to have its first channel; before that, what kept it from one is what vjd's board says (control/board.h), and is looked up here. Where it has
 * attached, and can't be asked, as vjd is stopped, gone or so new that the process hasn't found it yet, only those that the kernel has connected are
 * known to be its.
 */
#include "base/bits.h"
#include "cli/ask.h"
#include "cli/cmd.h"
#include "cli/env.h"
#include "cli/proc_socks.h"
#include "cli/program.h"
#include "lib/own_fd.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	INTERFACES_MAX = 64,   /* more have no names here */
	RETURN_MS = 3000,      /* in which a process finds a new vjd; it looks each second */
	RETURN_LOOK_US = 50000,
	WAY_UNKNOWN = 255,
};
#define FEW_FDS "its hard limit of descriptors is %" PRIu64 ", and channels want %d (ulimit -Hn)"
#define HELPER "vj-helper" /* the thread that a process has as long as it has been with a vjd: sock/helper.c */

/* What is known about the process */
struct subject {
	int32_t pid;
	int32_t tid; /* by which /proc shows it: proc_living_thread() */
	char name[CTL_NAME_MAX];
	char socket[CTL_PATH_BYTES]; /* of the vjd that it was started with; "": not known */
	char reason[PATH_MAX + 512]; /* of the process as a whole; "": it is an application of vjd */
	struct proc_socks socks;
	struct report_sock *told; /* by fd */
	uint32_t told_cnt;
	struct ctl_report_rule *rules; /* of the firewall, that keep its ports off channels */
	uint32_t rule_cnt;
	struct ctl_interface interfaces[INTERFACES_MAX]; /* that offer channels, with names and numbers of vjd's namespace, which may not be ours */
	uint32_t interface_cnt;
	bool filtered;	 /* `unattached`, because it has put itself under a filter of system calls */
	bool brief;	 /* `unattached`, because the processes that serve its connections are brief */
	bool few_fds;	 /* `unattached`, because it may have too few descriptors */
	bool waits_to_want; /* `unattached`, and nothing keeps it from channels */
	bool unattached; /* under vj run, and vjd is there, but it has not wanted anything of it */
	bool silent;	 /* it may have channels, but can't be asked */
	bool outside;	 /* not under vj run, and so it never has any */
	bool asked;	 /* `question` is under way */
	struct ask_question question;
	int err; /* nothing is known, and that has been said */
	uint64_t leased[2][BITMAP_WORDS(65536)]; /* TCP, UDP; ports that applications hold */
};

static const struct {
	const char *name, *text;
} whys[] = {
#define X(name, text) { #name, text },
	REPORT_WHYS(X)
#undef X
};
static const char *const ways[] = { "undecided", "channel", "kernel", "both" };

/* One that only the library of that process knows has no name here. */
static const char *why_name(unsigned why)
{
	return why < ARRAY_SIZE(whys) ? whys[why].name : "?";
}

static const char *why_text(unsigned why)
{
	return why < ARRAY_SIZE(whys) ? whys[why].text : "for a reason that this version of vj does not know";
}

static const char *way_name(unsigned way)
{
	return way < ARRAY_SIZE(ways) ? ways[way] : way == WAY_UNKNOWN ? "unknown" : "?";
}

/* ---- what is known ------------------------------------------------------------------------------- */

static int told_by_fd(const void *a, const void *b)
{
	return ((const struct report_sock *)a)->fd - ((const struct report_sock *)b)->fd;
}

/* Does it listen at this port itself? */
static bool has_listener(const struct subject *s, uint16_t port)
{
	for (size_t i = 0; i < s->socks.cnt; i++)
		if (s->socks.socks[i].listens && s->socks.socks[i].local.port == port)
			return true;
	return false;
}

/* Could anything on a channel be reached there? As the board says it to programs: control/board.h */
static bool leads_to_channel(const struct subject *s, const struct proc_sock *p)
{
	return bitmap_test(s->leased[p->proto == IPPROTO_UDP], p->remote.port) ||
	       (s->interface_cnt != 0 && !ip_addr_is_loopback(&p->remote.addr));
}

/* Why a socket of a process that has not attached is the kernel's */
static enum report_why why_unattached(const struct subject *s, const struct proc_sock *p)
{
	if (s->filtered && p->proto != 0)
		return REPORT_WHY_FILTERED;
	if (s->few_fds && p->proto != 0)
		return REPORT_WHY_DESCRIPTORS;
	if (p->proto == IPPROTO_TCP && proc_sock_is_mptcp(s->tid, p->fd))
		return REPORT_WHY_UNKNOWN; /* as the library says when it is asked */
	if (p->proto == IPPROTO_UDP && p->remote.port == 0) /* who has leased the port is another one */
		return bitmap_test(s->leased[true], p->local.port) ? REPORT_WHY_COPY : REPORT_WHY_NOT_READ;
	if (p->proto == 0 || p->remote.port == 0)
		return p->listens ? (s->brief ? REPORT_WHY_BRIEF : REPORT_WHY_NOT_ACCEPTING) : REPORT_WHY_UNKNOWN;
	if (!leads_to_channel(s, p))
		return REPORT_WHY_NO_OWNER;
	return p->proto == IPPROTO_UDP ? REPORT_WHY_UNUSED : REPORT_WHY_SHORT;
}

/* Where there are no interfaces, programs of this host are all that there are. */
static struct report_sock as_told(const struct subject *s, const struct report_sock *told)
{
	struct report_sock r = *told;

	if (s->interface_cnt == 0 && (r.why == REPORT_WHY_TRIAL || r.why == REPORT_WHY_HANDS_OVER))
		r.why = REPORT_WHY_NONE;
	return r;
}

/* About a socket of the process: as it says itself, else as far as can be seen. */
static struct report_sock about(const struct subject *s, const struct proc_sock *p)
{
	struct report_sock key = { .fd = p->fd, .way = REPORT_WAY_KERNEL, .why = REPORT_WHY_UNKNOWN };
	const struct report_sock *found = s->told_cnt == 0 ? NULL :
		bsearch(&key, s->told, s->told_cnt, sizeof(key), told_by_fd);

	if (found != NULL)
		return as_told(s, found);
	if (s->silent) {
		key.way = p->other || (p->proto == IPPROTO_TCP && !p->listens) ? REPORT_WAY_KERNEL : WAY_UNKNOWN;
		if (proc_socks_is_copy(&s->socks, p))
			key.way = REPORT_WAY_OURS; /* it has copies of listening and UDP sockets */
		return key;
	}
	if (s->unattached) {
		key.why = (uint8_t)why_unattached(s, p);
		return key;
	}
	if (p->proto == IPPROTO_TCP && p->remote.port != 0 && has_listener(s, p->local.port))
		key.why = REPORT_WHY_ACCEPTED;
	return key;
}

/* ---- what the firewall takes away ------------------------------------------------------------------ */

/* The next rule from @i on that is about this socket; s->rule_cnt: there is none */
static uint32_t rule_about(const struct subject *s, const struct endpoint *local, uint8_t proto, uint32_t i)
{
	for (; i < s->rule_cnt; i++) {
		struct endpoint at = ctl_endpoint_get(&s->rules[i].local);

		if (at.port == local->port && (s->rules[i].local.proto == CTL_PROTO_UDP) == (proto == IPPROTO_UDP) &&
		    ip_addr_eq(&at.addr, &local->addr))
			break;
	}
	return i;
}

/* Return: NULL: vjd has none of that number */
static const char *interface_name(const struct subject *s, uint32_t ifindex)
{
	for (uint32_t i = 0; i < s->interface_cnt; i++)
		if (s->interfaces[i].ifindex == ifindex)
			return s->interfaces[i].name;
	return NULL;
}

/* Not at the interface of that name any more */
static void forget_interface(const struct subject *s, struct report_sock *r, const char *device)
{
	unsigned cnt = 0;

	for (unsigned i = 0; i < REPORT_INTERFACES && r->ifindex[i] != 0; i++) {
		const char *name = interface_name(s, r->ifindex[i]);

		if (name == NULL || strcmp(name, device) != 0)
			r->ifindex[cnt++] = r->ifindex[i];
	}
	for (; cnt < REPORT_INTERFACES; cnt++)
		r->ifindex[cnt] = 0;
}

/*
 * A process knows its leases, vjd what the rules leave of them. Of one that takes connections from programs of this host until something has happened,
 * nothing is promised that the rules never allow. Return: programs of this host don't reach it directly
 */
static bool heed_rules(const struct subject *s, const struct endpoint *local, uint8_t proto, struct report_sock *r)
{
	bool at_interfaces, not_direct = false, waits = r->why == REPORT_WHY_TRIAL || r->why == REPORT_WHY_HANDS_OVER;
	uint32_t kept_off = 0;

	if (r->way != REPORT_WAY_BOTH || (r->why != REPORT_WHY_NONE && r->why != REPORT_WHY_COPIED && !waits))
		return false;
	for (uint32_t i = rule_about(s, local, proto, 0); i < s->rule_cnt; i = rule_about(s, local, proto, i + 1)) {
		not_direct |= ask_is_direct(&s->rules[i]);
		kept_off += !ask_is_direct(&s->rules[i]);
		forget_interface(s, r, s->rules[i].device);
	}
	at_interfaces = !waits && r->ifindex[0] != 0;
	if (not_direct && !at_interfaces) {
		r->way = REPORT_WAY_KERNEL;
		r->why = REPORT_WHY_FIREWALL;
	} else if (kept_off > 0 && !at_interfaces && r->why != REPORT_WHY_HANDS_OVER &&
		   (!waits || kept_off >= s->interface_cnt || !ip_addr_is_any(&local->addr))) {
		r->why = REPORT_WHY_FIREWALL_FAR;
	}
	return not_direct;
}

/* Unix sockets and the like never are on channels. */
static bool is_other(const struct proc_sock *p, const struct report_sock *r)
{
	return p->proto == 0 && r->why == REPORT_WHY_UNKNOWN && r->way == REPORT_WAY_KERNEL;
}

static uint8_t proto_of(const struct proc_sock *p, const struct report_sock *r)
{
	return r->local.proto != 0 ? r->local.proto : p->proto;
}

static struct endpoint pick(const struct ctl_endpoint *told, const struct endpoint *seen)
{
	return told->port != 0 ? ctl_endpoint_get(told) : *seen;
}

/* May only one user come to the vjd of this socket, whether it runs or has left? */
static bool is_private(const char *socket, uint32_t *ret_user)
{
	const char *slash = strrchr(socket, '/');
	char dir[CTL_PATH_BYTES];
	struct stat st;

	if (slash == NULL)
		return false;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - socket), socket);
	if ((stat(socket, &st) < 0 && stat(dir, &st) < 0) || (st.st_mode & 077) != 0)
		return false;
	*ret_user = st.st_uid;
	return true;
}

/* Has it, since it began, become somebody whom a private vjd doesn't let in? */
static bool is_kept_out(struct subject *s, const struct ctl_client *client)
{
	int64_t user = proc_user(s->tid);
	uint32_t owner;

	if (user <= 0 || !is_private(client == NULL || s->socket[0] != '\0' ? s->socket : ctl_client_path(client), &owner) || user == owner)
		return false;
	snprintf(s->reason, sizeof(s->reason), "under vj run; it runs as user %" PRId64 " now, and its vjd is private to user %u, as channels are between programs "
		 "of one user: have it stay user %u (nginx: 'user root;'), or start it and its clients as user %" PRId64, user, owner, owner, user);
	return true;
}

/* Was it started with another vjd? */
static bool is_elsewhere(const struct subject *s, const struct ctl_client *client)
{
	return s->socket[0] != '\0' && strcmp(s->socket, ctl_client_path(client)) != 0;
}

/* What another user has made of it may not move about on the screen. */
static void read_socket(struct subject *s)
{
	if (!proc_variable(s->tid, env_name(ENV_SOCKET), s->socket, sizeof(s->socket)))
		s->socket[0] = '\0';
	for (const char *c = s->socket; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			s->socket[0] = '\0';
}

/* Is its program one whose sockets are the kernel's? Then that is the reason. One of Go's may have the library, for programs that it starts. */
static bool is_kernels(struct subject *s, bool has_library)
{
	static struct program program;
	char link[64], exe[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", s->tid);
	n = readlink(link, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	if (n <= 0 || !program_is_kernels(program_check(exe, &program)) || (has_library && program.reason != PROGRAM_GO))
		return false;
	snprintf(s->reason, sizeof(s->reason), "%s", program_why(&program));
	s->outside = true;
	return true;
}

/* Why it is without the library */
static void say_without(struct subject *s, uint64_t limit)
{
	if (is_kernels(s, false))
		return;
	s->outside = true;
	if (limit < OWN_FD_LIMIT_MIN)
		snprintf(s->reason, sizeof(s->reason), FEW_FDS ": vj run starts such programs without the library", limit, OWN_FD_LIMIT_MIN);
	else
		snprintf(s->reason, sizeof(s->reason), "it was not started under vj run");
}

/* Why the whole process is on the kernel; @client: of the vjd there is, else NULL. */
static void say_outside(struct subject *s, const struct ctl_client *client, const char *no_vjd)
{
	int mapped = proc_has_mapped(s->tid, "/libvj-preload.so");
	uint64_t limit = proc_fd_limit(s->pid);

	if (mapped > 0 && is_kept_out(s, client))
		return;
	if (mapped == 0 && proc_has_ended(s->tid)) {
		snprintf(s->reason, sizeof(s->reason), "it has ended, and its parent has not asked how (a zombie)");
		return;
	}
	if (mapped > 0 && is_kernels(s, true))
		return;
	s->silent = mapped > 0 && proc_has_thread(s->pid, HELPER);
	if (s->silent) {
		if (no_vjd[0] != '\0')
			snprintf(s->reason, sizeof(s->reason), "only vjd could ask it: %s", no_vjd);
		else if (client != NULL && is_elsewhere(s, client))
			snprintf(s->reason, sizeof(s->reason), "it is with another vjd; see: vj why --socket %s %d", s->socket, s->pid);
		else
			snprintf(s->reason, sizeof(s->reason), "it has not found this vjd yet (is it stopped?)");
		return;
	}
	s->unattached = mapped > 0 && no_vjd[0] == '\0';
	s->filtered = proc_has_mapped(s->tid, "/memfd:" REPORT_FILTERED_MARK) > 0;
	s->brief = proc_has_mapped(s->tid, "/memfd:" REPORT_BRIEF_MARK) > 0;
	s->few_fds = s->unattached && !s->filtered && !s->brief && limit < OWN_FD_LIMIT_MIN;
	s->waits_to_want = s->unattached && !s->filtered && !s->brief && !s->few_fds;
	if (s->few_fds) {
		snprintf(s->reason, sizeof(s->reason), "under vj run; " FEW_FDS, limit, OWN_FD_LIMIT_MIN);
		return;
	}
	if (mapped > 0) {
		snprintf(s->reason, sizeof(s->reason), "%s%s",
			 no_vjd[0] != '\0' ? "under vj run, but no vjd answers: " :
			 s->filtered ? "under vj run; it has put itself under a seccomp filter" :
			 s->brief    ? "under vj run; the processes that serve its connections end too soon for channels to pay, so it does without for now" :
					     "under vj run; nothing in it has wanted a channel from this vjd so far, as it has not waited for connections or made "
					     "any itself: if others do in its place, ask those",
			 no_vjd);
		return;
	}
	say_without(s, limit);
}

static void note_status(void *arg, const struct ctl_msg *msg)
{
	struct subject *s = arg;

	if (msg->type == CTL_STATUS_LEASE && msg->lease.local.proto != CTL_PROTO_RAW)
		bitmap_set(s->leased[msg->lease.local.proto == CTL_PROTO_UDP], msg->lease.local.port);
	if (msg->type == CTL_STATUS_INTERFACE && msg->interface.memory_bytes == 0 && s->interface_cnt < INTERFACES_MAX &&
	    (msg->interface.flags & CTL_INTERFACE_GATEWAY) == 0)
		s->interfaces[s->interface_cnt++] = msg->interface;
}

/* As ask_apps(). One that was with an earlier vjd comes to the next one at that place soon; all are waited for together. */
static int find_app(const struct subject *s, struct ctl_client *client, struct ask_apps *ret_apps)
{
	static unsigned looks;
	int rc = ask_apps(client, s->pid, ret_apps);

	for (; rc == 0 && ret_apps->cnt == 0 && looks < RETURN_MS * 1000 / RETURN_LOOK_US; looks++) {
		if (is_elsewhere(s, client) || !proc_has_thread(s->pid, HELPER))
			break;
		usleep(RETURN_LOOK_US);
		rc = ask_apps(client, s->pid, ret_apps);
	}
	return rc;
}

/* Its vjd is the one that it was started with. Not where that is another user's word: it would have root speak to anything. */
static const char *socket_of(const struct subject *s, const char *given)
{
	return given != NULL || s->socket[0] == '\0' || proc_user(s->tid) != geteuid() ? given : s->socket;
}

/* Each vjd is called once, and one that doesn't answer waited for once. */
static struct known_vjd {
	struct known_vjd *next;
	char socket[CTL_PATH_BYTES]; /* "": where there is one */
	struct ctl_client *client;   /* NULL: none answers, and @no_vjd says why */
	char no_vjd[CTL_CLIENT_WHY_BYTES];
} *known_vjds;

/* NULL: no memory */
static const struct known_vjd *vjd_at(const char *socket)
{
	struct known_vjd *k;

	for (k = known_vjds; k != NULL; k = k->next)
		if (strncmp(k->socket, socket != NULL ? socket : "", sizeof(k->socket) - 1) == 0)
			return k;
	k = calloc(1, sizeof(*k));
	if (k == NULL)
		return NULL;
	snprintf(k->socket, sizeof(k->socket), "%s", socket != NULL ? socket : "");
	if (ctl_client_open_why(socket, "vj why", CTL_HELLO_OBSERVER, &k->client, k->no_vjd) < 0)
		k->client = NULL;
	k->next = known_vjds;
	known_vjds = k;
	return k;
}

static void vjds_forget(void)
{
	for (struct known_vjd *k = known_vjds, *next; k != NULL; k = next) {
		next = k->next;
		ctl_client_close(k->client);
		free(k);
	}
}

/* What vjd knows of it, and the question to itself. Return: 0; -errno: s->asked is false */
static int ask_of(struct subject *s, struct ctl_client *client)
{
	struct ask_apps apps;
	void *rules;
	int rc = find_app(s, client, &apps);

	if (rc < 0)
		return rc;
	if (apps.cnt == 0) {
		say_outside(s, client, "");
	} else {
		rc = ask_begin(client, &apps.apps[0], CTL_REPORT_SOCKS, &s->question);
		s->asked = rc == 0;
		if (ask_rules(client, &apps.apps[0], &rules, &s->rule_cnt) == 0)
			s->rules = rules;
	}
	if (apps.cnt != 0 || s->unattached)
		ctl_client_status(client, note_status, s);
	free(apps.apps);
	return rc;
}

/* Return: 0; -errno, complained about. */
static int ask_subject(struct subject *s, const char *socket)
{
	const struct known_vjd *k = vjd_at(socket_of(s, socket));
	int rc = k == NULL ? -ENOMEM : 0;

	if (k != NULL && k->client == NULL)
		say_outside(s, NULL, k->no_vjd);
	else if (k != NULL)
		rc = ask_of(s, k->client);
	if (rc < 0)
		complain("why: %s[%d]: %s", s->name, s->pid, ask_failure(rc, s->pid));
	return rc;
}

/* Return: 0; -errno, complained about. */
static int hear_subject(struct subject *s)
{
	uint64_t left_out;
	void *records;
	int rc;

	if (!s->asked)
		return 0;
	rc = ask_end(&s->question, sizeof(struct report_sock), &records, &s->told_cnt, &left_out);
	if (rc < 0) {
		complain("why: %s[%d]: %s", s->name, s->pid, ask_failure(rc, s->pid));
		return rc;
	}
	s->told = records;
	if (s->told_cnt != 0)
		qsort(s->told, s->told_cnt, sizeof(*s->told), told_by_fd);
	return 0;
}

static void read_name(struct subject *s)
{
	char path[64], name[CTL_NAME_MAX] = "?";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", s->pid);
	f = fopen(path, "re");
	if (f != NULL && fgets(name, sizeof(name), f) == NULL)
		name[0] = '\0';
	if (f != NULL)
		fclose(f);
	name[strcspn(name, "\n")] = '\0';
	ctl_name_set(s->name, name);
}

/* Is there a reason for each socket, or one for all? */
static bool has_whys(const struct subject *s)
{
	return s->reason[0] == '\0' || s->unattached;
}

/* ---- shown --------------------------------------------------------------------------------------- */

static const char *endpoint_or_dash(const struct endpoint *ep, char buf[static ENDPOINT_TEXT_BYTES])
{
	return ep->port != 0 ? endpoint_format(ep, buf) : "-";
}

static const char *proto_text(uint8_t proto)
{
	return proto == IPPROTO_TCP ? "tcp" : proto == IPPROTO_UDP ? "udp" : "-";
}

/* The last column: why not a channel; of one that has some, where they are besides other programs of this host, or (@not_direct) in place of them */
static const char *remark(const struct subject *s, const struct report_sock *r, bool not_direct, char *buf, size_t room)
{
	const char *name;
	size_t len = 0;

	if (!has_whys(s))
		return "";
	if (r->why != REPORT_WHY_NONE)
		return why_text(r->why);
	buf[0] = '\0';
	for (unsigned i = 0; i < REPORT_INTERFACES && r->ifindex[i] != 0; i++)
		if ((name = interface_name(s, r->ifindex[i])) != NULL)
			len += (size_t)snprintf(buf + len, room - len, "%s%s", len > 0 ? ", " : not_direct ? "(only at " : "(also at ", name);
	if (len != 0)
		snprintf(buf + len, room - len, ")");
	return buf;
}

static void print_text(const struct subject *s)
{
	char a[ENDPOINT_TEXT_BYTES], b[ENDPOINT_TEXT_BYTES], c[REPORT_INTERFACES * (CTL_NAME_MAX + 2) + 16];
	size_t others = 0, rows = 0;

	printf("%s[%d]%s%s\n", s->name, s->pid,
	       s->reason[0] == '\0' ? "" :
	       s->waits_to_want	     ? ": " :
	       s->silent	     ? ": under vj run, but which of its sockets are on channels is not known: " :
				       ": all on the kernel: ",
	       s->reason);
	for (size_t i = 0; i < s->socks.cnt; i++) {
		const struct proc_sock *p = &s->socks.socks[i];
		struct report_sock r = about(s, p);
		struct endpoint local = pick(&r.local, &p->local), remote = pick(&r.remote, &p->remote);
		bool not_direct = heed_rules(s, &local, proto_of(p, &r), &r);

		if (r.way == REPORT_WAY_OURS)
			continue;
		if (is_other(p, &r)) {
			others++;
			continue;
		}
		if (rows++ == 0)
			printf("%6s %-5s %-26s %-26s %-9s %s\n", "FD", "PROTO", "LOCAL", "REMOTE", "PATH", "WHY NOT A CHANNEL");
		printf("%6d %-5s %-26s %-26s %-9s %s\n", p->fd, proto_text(proto_of(p, &r)), endpoint_or_dash(&local, a),
		       endpoint_or_dash(&remote, b), way_name(r.way), remark(s, &r, not_direct, c, sizeof(c)));
	}
	if (rows == 0)
		printf("no TCP or UDP sockets\n");
	ask_print_rules(s->rules, s->rule_cnt);
	if (others != 0)
		printf("and %zu other socket%s (Unix, netlink ...), which no channel is for\n", others, plural(others));
}

static json_t *json_endpoint(const struct endpoint *ep)
{
	char text[IP_ADDR_TEXT_BYTES];

	if (ep->port == 0)
		return json_null();
	return json_pack("{s:s, s:i}", "addr", ip_addr_format(&ep->addr, text), "port", (int)ep->port);
}

static json_t *json_interfaces(const struct subject *s, const struct report_sock *r)
{
	json_t *names = json_array();
	const char *name;

	for (unsigned i = 0; i < REPORT_INTERFACES && r->ifindex[i] != 0; i++)
		if ((name = interface_name(s, r->ifindex[i])) != NULL)
			json_array_append_new(names, json_string(name));
	return names;
}

static json_t *json_sock(const struct subject *s, const struct proc_sock *p, struct report_sock *r)
{
	struct endpoint local = pick(&r->local, &p->local), remote = pick(&r->remote, &p->remote);
	bool not_direct = heed_rules(s, &local, proto_of(p, r), r);
	json_t *o = json_pack("{s:i, s:s, s:o, s:o, s:b, s:s}", "fd", p->fd, "proto", proto_text(proto_of(p, r)), "local",
			      json_endpoint(&local), "remote", json_endpoint(&remote), "listens", p->listens, "path",
			      way_name(r->way));

	if (r->ifindex[0] != 0)
		json_object_set_new(o, "interfaces", json_interfaces(s, r));
	if (not_direct)
		json_object_set_new(o, "this_host", json_false());
	if (r->why != REPORT_WHY_NONE && has_whys(s))
		json_object_set_new(o, "why", json_pack("{s:s, s:s}", "name", why_name(r->why), "text", why_text(r->why)));
	return o;
}

static void print_json(const struct subject *s)
{
	json_t *socks = json_array(), *root;
	int others = 0;

	for (size_t i = 0; i < s->socks.cnt; i++) {
		const struct proc_sock *p = &s->socks.socks[i];
		struct report_sock r = about(s, p);

		if (r.way == REPORT_WAY_OURS)
			continue;
		if (is_other(p, &r))
			others++;
		else
			json_array_append_new(socks, json_sock(s, p, &r));
	}
	root = json_pack("{s:i, s:s, s:o, s:i, s:o}", "pid", s->pid, "name", s->name, "sockets", socks, "others", others, "rules",
			 ask_json_rules(s->rules, s->rule_cnt));
	if (s->reason[0] != '\0')
		json_object_set_new(root, "reason", json_string(s->reason));
	json_dumpf(root, stdout, CMD_JSON);
	putchar('\n');
	json_decref(root);
}

static void begin(struct subject *s, int32_t pid, const struct ask_options *o)
{
	memset(s, 0, sizeof(*s));
	s->pid = pid;
	s->tid = proc_living_thread(pid);
	s->err = proc_socks_read(s->tid, &s->socks);
	if (s->err < 0) {
		complain(s->err == -ESRCH ? "why: there is no process %d" : "why: process %d: %s", pid, strerror(-s->err));
		return;
	}
	read_name(s);
	read_socket(s);
	s->err = ask_subject(s, o->socket);
}

/* @shown: has one before it been? Return: EXIT_OK, EXIT_FAILED */
static int show(struct subject *s, const struct ask_options *o, bool *shown)
{
	if (s->err == 0)
		s->err = hear_subject(s);
	if (s->err == 0 && o->json) {
		print_json(s);
	} else if (s->err == 0) {
		if (*shown)
			putchar('\n');
		print_text(s);
		*shown = true;
	}
	free(s->told);
	free(s->rules);
	free(s->socks.socks);
	return s->err < 0 || s->silent || s->outside ? EXIT_FAILED : EXIT_OK;
}

/* All are asked, then all heard: however many don't answer, it takes as long as one. Return: EXIT_OK, EXIT_FAILED */
static int show_some(char **pids, unsigned cnt, const struct ask_options *o, bool *shown)
{
	static struct subject subjects[ASK_AT_ONCE];
	int rc = EXIT_OK;
	int32_t pid;

	for (unsigned i = 0; i < cnt; i++)
		if (ask_pid(pids[i], &pid))
			begin(&subjects[i], pid, o);
	for (unsigned i = 0; i < cnt; i++)
		if (show(&subjects[i], o, shown) != EXIT_OK)
			rc = EXIT_FAILED;
	return rc;
}

int cmd_why(const struct cmd *cmd, const void *opts, int argc, char **argv)
{
	bool shown = false;
	int rc = EXIT_OK;
	int32_t pid;

	(void)cmd;
	if (argc == 0) {
		complain("why: of which process? For example: vj why $(pidof redis-server)");
		return EXIT_USAGE;
	}
	for (int i = 0; i < argc; i++) {
		if (!ask_pid(argv[i], &pid)) {
			complain("why: '%s' is no process number; see: vj help why", argv[i]);
			return EXIT_USAGE;
		}
	}
	for (int at = 0; at < argc; at += ASK_AT_ONCE)
		if (show_some(argv + at, min_u32((uint32_t)(argc - at), ASK_AT_ONCE), opts, &shown) != EXIT_OK)
			rc = EXIT_FAILED;
	vjds_forget();
	return rc;
}
