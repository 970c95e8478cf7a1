# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What the scripts here share: a directory of their own, a vjd of their own, processes that end with them. Sourced.

set -euo pipefail
exec </dev/null # some of the programs read what there is

build=${VJ_BUILD_DIR:?the build directory}
vj=$build/vj
tmp=$(mktemp -d "${TMPDIR:-/tmp}/vj-apps-XXXXXX")
export VJ_SOCKET=$tmp/vjd.sock
pids=()

# Where the threads of process PID stand, and what signals do there
stack() {
	printf '%s: %s\n' "$1" "$(tr '\0' ' ' <"/proc/$1/cmdline" | cut -c -200)"
	grep -E '^(State|Sig|Shd)' "/proc/$1/status"
	timeout 20 gdb -p "$1" -batch -ex 'thread apply all bt 16' 2>/dev/null | grep -E '^(Thread|#)' || grep . "/proc/$1"/task/*/wchan "/proc/$1"/task/*/syscall
}

# What was started gets SIGTERM. Who is still there half a minute later is shown, and ended; that is a failure.
end_started() {
	local pid tries stays=0
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null || true
	done
	for pid in "${pids[@]}"; do
		for ((tries = 0; tries < 600; tries++)); do
			kill -0 "$pid" 2>/dev/null || break
			sleep 0.05
		done
		if ((tries == 600)); then
			echo "FAILED: SIGTERM did not end what was started" >&2
			stack "$pid" >&2 || true
			kill -KILL "$pid" || true
			stays=1
		fi
		wait "$pid" 2>/dev/null || true
	done
	pids=()
	return $stays
}
cleanup() {
	local status=$?
	end_started || status=1
	rm -rf "$tmp"
	exit "$status"
}
trap cleanup EXIT

# fail WHAT...: and what was said last meanwhile
fail() {
	local log logs
	printf 'FAILED: %s\n' "$*" >&2
	mapfile -t logs < <(find "$tmp" -name '*.log' -size +0 -printf '%T@ %p\n' | sort -n | tail -8 | cut -d' ' -f2-)
	for log in "${logs[@]}"; do
		printf '%s: %s\n' "${log##*/}" "$(grep -v ' debug: ' "$log" | tail -n 6 | cut -c -300)" >&2
	done
	exit 1
}

# Ended by set -e: the command, and the calls that led there. In a subshell it is not the end, or its caller's
ended_by() { # STATUS COMMAND
	local i at=
	[[ $- == *e* && $BASH_SUBSHELL == 0 ]] || return 0
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		at+=", ${BASH_SOURCE[i]##*/}:${BASH_LINENO[i - 1]}"
	done
	fail "status $1 of: $2${at}"
}
set -E
trap 'ended_by $? "$BASH_COMMAND"' ERR

# The same of all programs that are in the script's network namespace
stacks() {
	local dir net
	net=$(readlink /proc/self/ns/net)
	for dir in /proc/[0-9]*; do
		[ "$(readlink "$dir/ns/net" 2>/dev/null)" = "$net" ] || continue
		stack "${dir##*/}"
	done
}

# stacks_after SECONDS: said once if the script is still there then. For those that have hung and are ended by who runs them, without a word
stacks_after() {
	(
		trap 'exit 0' TERM
		read -rt "$1" <> <(:) || stacks
	) >&2 2>/dev/null &
	pids+=($!)
}

skip() {
	printf 'skipped: %s\n' "$*"
	exit 77
}

# has PATTERN: as `grep -q` behind a pipe, but it reads to the end: who writes into a pipe that nobody reads is ended, a failure to pipefail
has() {
	grep "$@" >/dev/null
}

need() {
	local program
	for program in "$@"; do
		command -v "$program" >/dev/null || skip "$program is not installed"
	done
}

# within COMMAND...: does it succeed in a minute? It is tried some times however long one takes, or the whole machine stands still. (What it sets
# are the caller's variables, never these.)
within() {
	local _tries=0 _end=$((SECONDS + 60))
	until "$@" >/dev/null 2>&1; do
		((++_tries < 30 || SECONDS < _end)) || return 1
		sleep 0.1
	done
}

until_true() {
	within "$@" || fail "never: $*"
}

# rests COMMAND...: what it says stays the same for half a second: what went on before is over
rests() {
	local said
	said=$("$@")
	sleep 0.5
	[ "$("$@")" = "$said" ]
}

# start LOG COMMAND...: in the background, ended with the script
start() {
	local log=$1
	shift
	: >"$tmp/$log" # now: an earlier one's is not to be read for it
	"$@" >"$tmp/$log" 2>&1 </dev/null &
	pids+=($!)
}

# The kernel begins to note when packets come a while after a first socket asked for that, and stops after the last one: here is one.
kernel_stamps() {
	start stamps python3 -c '
import socket, time
SO_TIMESTAMP = 29
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server = listener.accept()[0]
server.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
stamped = False
while not stamped:
    client.send(b"x")
    stamped = bool(server.recvmsg(1, 256)[1])
print("begun", flush=True)
time.sleep(10000)'
	until_true grep begun "$tmp/stamps"
}

# A port that nobody listens on at the moment.
free_port() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

listens() {
	awk -v p="$(printf ':%04X' "$1")" '$4 == "0A" && index($2, p) { found = 1 } END { exit !found }' /proc/net/tcp /proc/net/tcp6
}

# wait_port PORT: until someone listens there
wait_port() {
	within listens "$1" || fail "nobody listens on port $1"
}

vjd_pid() {
	"$vj" status | sed -n 's/^vjd [^,]*, pid \([0-9]*\),.*/\1/p'
}

leased() {
	"$vj" status | has "^tcp .*:$1 "
}

# has_lease PORT: does an application hold it? One that listens does when it first waits for a connection.
has_lease() {
	within leased "$1"
}
