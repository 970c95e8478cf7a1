#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# vj, the command: what it says and how it ends when it is used wrongly, when things are missing, and when all is well.
# Speed is not judged here; the benchmarks only have to run and to print what they promise.

# shellcheck disable=SC2016 # what is in single quotes is for another shell

set -u
# What serves at the default places, of the host or of this user, is none of this test's, and would be found.
if [ -z "${VJ_TEST_ALONE:-}" ]; then
	alone=(unshare -m) drop=()
	if [ "$(id -u)" != 0 ]; then
		alone=(unshare -Um --map-current-user --keep-caps) drop=(setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all)
	fi
	mkdir -m 700 "/tmp/vjchan-$(id -u)" 2>/dev/null
	export VJ_TEST_ALONE=no
	cover='for place in /run/vjchan "/tmp/vjchan-$(id -u)"; do
	[ ! -d "$place" ] || mount -t tmpfs -o mode=700 none "$place" || exit
done
VJ_TEST_ALONE=yes exec "$@"'
	if "${alone[@]}" sh -c "$cover" sh true 2>/dev/null; then
		exec "${alone[@]}" sh -c "$cover" sh "${drop[@]}" "$0"
	fi
fi
build=${VJ_BUILD_DIR:?} source=${VJ_SOURCE_DIR:?}
vj=$build/vj
dir=$(mktemp -d /tmp/vj-test-cli-XXXXXX)
export XDG_RUNTIME_DIR=$dir/run
mkdir -m 700 "$XDG_RUNTIME_DIR"
unset VJ_SOCKET LD_PRELOAD
pids=()
failed=0
stranger_uid=$((20000 + $$ % 40000)) # nobody's, and no other run's of this test
stranger_place=/tmp/vjchan-$stranger_uid

cleanup() {
	for pid in "${pids[@]}"; do
		kill "$pid" 2>/dev/null
	done
	rm -rf "$dir" "$stranger_place"
}
trap cleanup EXIT

fail() {
	echo "FAILED: $*"
	failed=$((failed + 1))
}

# expect STATUS PATTERN COMMAND...: ends with STATUS and prints something that the pattern (extended regular expression) matches
expect() {
	local status=$1 pattern=$2 said rc
	shift 2
	said=$("$@" 2>&1 </dev/null)
	rc=$?
	[ "$rc" = "$status" ] || fail "$*: status $rc, not $status: $said"
	grep -qE -- "$pattern" <<<"$said" || fail "$*: no '$pattern' in: $said"
}

# json KEYS COMMAND...: prints lines of JSON, each with these keys
json() {
	local keys=$1 said
	shift
	said=$("$@" 2>"$dir/err" </dev/null) || fail "$*: status $?: $(cat "$dir/err")"
	python3 -c '
import json, sys
lines = [line for line in sys.argv[2].splitlines() if line]
assert lines, "nothing printed"
for line in lines:
    got = json.loads(line)
    missing = [k for k in sys.argv[1].split() if k not in got]
    assert not missing, f"{missing} not in {line}"
' "$keys" "$said" || fail "$*: $said"
}

# ---- usage

expect 2 'vj run -- redis-server' "$vj"
expect 0 'status .*show applications' "$vj" --help
expect 0 '^vj [0-9]+\.[0-9]+\.[0-9]+ \(library [0-9.]+, control version [0-9]+\)$' "$vj" --version
expect 2 "unknown command 'statsu'; did you mean 'status'" "$vj" statsu
expect 2 "unknown command 'xyzzy'; see: vj --help" "$vj" xyzzy
expect 2 "unknown option --versoin" "$vj" --versoin
for cmd in run status connections why arp resolve firewall attach detach doctor bench help; do
	expect 0 "^usage: vj $cmd " "$vj" help $cmd
	expect 0 "^usage: vj $cmd " "$vj" $cmd --help
	expect 2 "unknown option --no-such-option" "$vj" $cmd --no-such-option
done
expect 2 "no command 'sttus'; did you mean 'status'" "$vj" help sttus
expect 2 "unknown option --verbos; did you mean --verbose" "$vj" run --verbos -- true
expect 2 "unknown option --jsn; did you mean --json" "$vj" status --jsn
expect 2 "takes no 'extra'" "$vj" status extra
expect 2 "takes no '2'" "$vj" connections 1 2
expect 2 "takes no 'status'" "$vj" help run status
expect 2 "takes no 'run'" "$vj" help --json run
for cmd in connections why; do
	for pid in 0 abc 1x 99999999999 ''; do
		expect 2 "'$pid' is no process number" "$vj" $cmd "$pid"
	done
	expect 2 "unknown option -1" "$vj" $cmd -1
done
expect 2 "of which process" "$vj" why
expect 2 "'x' is no process number" "$vj" why $$ x
expect 1 "there is no process 2147483647" "$vj" why 2147483647
expect 1 "^[^ ]+.$$.: all on the kernel: it was not started under vj run" "$vj" why 2147483647 $$
{ "$vj" why --json $$ $$ || [ $? = 1 ]; } | python3 -c 'import json, sys
text = sys.stdin.read()
first, end = json.JSONDecoder().raw_decode(text)
assert first == json.loads(text[end:]) and first["pid"]' || fail "why --json of two processes"
[ "$("$vj" why $$ $$ | grep -c 'all on the kernel')" = 2 ] || fail "why of two processes: $("$vj" why $$ $$)"
expect 1 "^no TCP or UDP sockets" "$vj" why $$
expect 2 "takes no '2'" "$vj" arp 2
expect 2 "which endpoint" "$vj" resolve
for endpoint in 10.0.0.1 10.0.0.1:080 fd00::1:80 somewhere:80 somewhere:99999 ''; do
	expect 2 "which endpoint" "$vj" resolve "$endpoint"
done
for endpoint in 10.0.0.1:0 10.0.0.1:65536 10.0.0.1:99999 '[fd00::1]:99999'; do
	expect 2 "port out of range" "$vj" resolve "$endpoint"
done
for endpoint in 224.0.0.1:1 255.255.255.255:1 '[ff02::1]:53'; do
	expect 2 "the address of many" "$vj" resolve "$endpoint"
done
for endpoint in 0.0.0.0:1 '[::]:53'; do
	expect 2 "any address, no one host's" "$vj" resolve "$endpoint"
done
expect 2 "takes no zone" "$vj" resolve '[fe80::1%eth0]:53'
expect 2 "takes no '2'" "$vj" resolve 10.0.0.1:80 2
expect 0 '--gateway +no gateway .* any more' "$vj" help detach
for cmd in attach detach; do
	expect 2 "which interface" "$vj" $cmd
done
expect 2 "which program" "$vj" run
expect 2 "which program" "$vj" run --
expect 2 "which program" "$vj" run ''
expect 2 "which program" "$vj" run -- '' argument
expect 2 "needs a value: --pcap FILE" "$vj" run --pcap
expect 2 "takes no value" "$vj" run --strict=1 -- true
expect 2 "spin takes a number from -1 to 1000000, not 'fast'" "$vj" run --spin fast -- true
expect 2 "which one" "$vj" bench
expect 2 "no benchmark 'rpt'; did you mean 'rtt'" "$vj" bench rpt
expect 2 "no benchmark 'nothing'" "$vj" bench rtt nothing
for what in apps all; do
	expect 2 "apps: there is no 'nosuch'; there are: redis, .*, asyncio" "$vj" bench $what --app nosuch
done
expect 2 "--gateway or --tc" "$vj" attach --gateway --tc lo
expect 2 "interface: there is no 'nosuch'; there are: flood, .*, iperf3" "$vj" bench interface --app nosuch
expect 2 "vs takes some of kernel\|unix\|lwip\|rte_ring, not 'nobody'" "$vj" bench rtt --vs nobody
expect 2 "vs takes some of .*, not 'nobody,unix'" "$vj" bench rtt --vs kernel,nobody,unix
expect 2 "vs takes some of .*, not ''" "$vj" bench rtt --vs kernel,
for bad in "--seconds x" "--seconds 0" "--seconds nan" "--runs 0" "--runs 1.5" "--runs 100" "--connections -1" "--bytes 7" \
	"--batch 257" "--requests 99999999999999999999" "--keys 1e3"; do
	# shellcheck disable=SC2086 # two words
	expect 2 "takes a number from .* to .*, not" "$vj" bench rtt $bad
done
expect 2 "unknown option -x" "$vj" bench -x

# ---- programs that cannot be run, or not be taken in hand

expect 127 "no such program: 'no-such-program' is in no directory" "$vj" run -- no-such-program
expect 127 "no such program: '/no/such/program'" "$vj" run /no/such/program
expect 126 "is a directory" "$vj" run -- /
echo text >"$dir/text"
expect 126 "is not executable" "$vj" run -- "$dir/text"
chmod +x "$dir/text"
printf '#!/no/such/interpreter\n' >"$dir/script"
chmod +x "$dir/script"
expect 127 "script whose interpreter '/no/such/interpreter' cannot be run" "$vj" run -- "$dir/script"
# the exit status is that of env
printf '#!/usr/bin/env no-such-program\n' >"$dir/env-script"
printf '#!%s\n' "$dir" >"$dir/dir-script"
chmod +x "$dir/env-script" "$dir/dir-script"
for what in "$dir/script" "$dir/env-script" "$dir/dir-script" "$dir/text/behind" "$dir" /no/such/program no-such-program /etc/passwd; do
	env "$what" >/dev/null 2>&1
	expect $? "^vj: run: " "$vj" run -- "$what"
done
# what no library can be put in front of is on the kernel's sockets, and not started with --strict
kernels() { # STATUS WHY PROGRAM...
	local status=$1 why=$2
	shift 2
	expect "$status" "^vj: run: '$1' is on the kernel's sockets: .*$why" "$vj" run --socket "$dir/kernels.sock" -- "$@"
	expect 126 "^vj: run: .*$why" "$vj" run --strict -- "$@"
}
echo 'int execvp(const char *, char **); int main(int c, char **v) { return c > 1 ? execvp(v[1], v + 1) : 3; }' >"$dir/static.c"
cc -static -o "$dir/static" "$dir/static.c"
kernels 3 "statically linked" "$dir/static"
expect 0 "^[^ ]*/libvj-preload.so $dir/kernels.sock$" "$vj" run --socket "$dir/kernels.sock" -- "$dir/static" sh -c 'echo "$LD_PRELOAD $VJ_SOCKET"'
kernels 0 "Go program" "$build/tests/apps/go_like" </dev/null
printf '#!%s true\n' "$dir/static" >"$dir/script"
kernels 0 "statically linked" "$dir/script"
cp "$(type -P true)" "$dir/class"
printf '\001' | dd of="$dir/class" bs=1 seek=4 conv=notrunc status=none
nice "$dir/class" 2>/dev/null
kernels $? "32-bit" "$dir/class"
cp "$(type -P true)" "$dir/machine"
printf '\377\376' | dd of="$dir/machine" bs=1 seek=18 conv=notrunc status=none
expect 126 "another kind of machine" "$vj" run -- "$dir/machine"
head -c 100 "$(type -P true)" >"$dir/short"
chmod +x "$dir/short"
expect 126 "damaged program" "$vj" run -- "$dir/short"
if [ "$(id -u)" = 0 ]; then
	cp "$(type -P true)" "$dir/setuid"
	chown 65534 "$dir/setuid"
	chmod 4755 "$dir/setuid"
	kernels 0 "set-user-id" "$dir/setuid"
elif [ -u "$(type -P su)" ]; then
	kernels 0 "set-user-id" su --version
fi

# ---- no daemon, and wrong ones

expect 3 "no vjd runs" "$vj" status
for cmd in status connections arp firewall "resolve 10.0.0.1:80" "attach eth0" "detach eth0"; do
	# shellcheck disable=SC2086 # two words
	expect 3 "^vj: ${cmd% *}: no vjd runs: $dir/nothing: " "$vj" $cmd --socket "$dir/nothing"
done
expect 3 "no vjd runs" env VJ_SOCKET="$dir/nothing" "$vj" status
expect 1 "" "$vj" status --socket "$dir/$(printf 'x%.0s' {1..200})"

# no vjd can be had: the program runs, on the kernel, which is said in one line with the reason
on_kernel() { # WHY [OPTION...]
	local why=$1 said
	shift
	said=$("$vj" run "$@" -- sh -c 'echo ran; exit 7' 2>&1 </dev/null)
	[ "$? $(wc -l <<<"$said")" = "7 2" ] || fail "run $*: $said"
	grep -qx ran <<<"$said" || fail "run $*: $said"
	grep -qE -- "^vj: run: 'sh' is on the kernel's sockets: .*$why" <<<"$said" || fail "run $*: no '$why' in: $said"
}
long=$dir/$(printf 'x%.0s' {1..200})
said=$("$vj" run --quiet --socket "$long" -- sh -c 'echo ran; exit 7' 2>&1)
[ "$? $said" = "7 ran" ] || fail "run --quiet: $said"
expect 1 "'sh' is not started \(--strict\): path of vjd's socket is too long" "$vj" run --quiet --strict --socket "$long" -- sh -c 'echo ran; exit 7'
on_kernel "cannot start vjd: $dir/no/such/dir: No such file" --socket "$dir/no/such/dir/sock"
on_kernel "path of vjd's socket is too long" --socket "$long"
VJ_SOCKET=$long on_kernel "path of vjd's socket is too long"
echo text >"$dir/file"
on_kernel "$dir/file: " --socket "$dir/file"
mkdir -p "$dir/bare"
cp "$vj" "$dir/bare"
expect 0 "^vj: run: 'echo' is on the kernel's sockets: cannot run" "$dir/bare/vj" run "$dir/bare/vj" run echo ran
deep=$dir$(printf "/$(printf 'x%.0s' {1..200})%.0s" {1..20}) # has room for vj behind it, and for no longer name
deep=$deep/$(printf "%$((4088 - ${#deep}))s" | tr ' ' x)
mkdir -p "$deep"
cp "$vj" "$deep"
expect 0 '^ran$' timeout 20 "$deep/vj" run echo ran
said=$("$dir/bare/vj" run --socket "$dir/bare/sock" -- echo ran 2>&1) || fail "vj run without its parts: $said"
grep -qx ran <<<"$said" || fail "vj run without its parts says: $said"
if [ "$(id -u)" != 0 ]; then
	mkdir -m 000 "$dir/closed"
	on_kernel "$dir/closed/sock: permission denied; use another" --socket "$dir/closed/sock"
fi

# answers every HELLO by the bytes given: type, body
cat >"$dir/fake" <<'PY'
import socket, struct, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen()
print("ready", flush=True)
while True:
    c, _ = s.accept()
    said = c.recv(128)
    if not said:               # only looks whether somebody serves
        continue
    seq = struct.unpack_from("II", said)[1]
    kind = sys.argv[2]
    if kind == "newer":        # REFUSED: VERSION, of HELLO; mine is 99, release 9.9
        msg = struct.pack("IIIIII32s", 20, seq, 1, 1, 99, 0, b"9.9")
    else:
        msg = b"\xff" * 128
    c.send(msg.ljust(128, b"\0"))
    c.close()
PY
for kind in newer nonsense; do
	sock=$dir/fake-$kind
	exec {ready}< <(exec python3 "$dir/fake" "$sock" $kind)
	pids+=($!)
	read -r -u "$ready"
	says="speak the control protocol"
	[ $kind = nonsense ] || says="library [0-9.]+ speaks control version [0-9]+, vjd 9.9 version 99"
	expect 1 "$says" "$vj" status --socket "$sock"
	on_kernel "$says.*; restart it, or use another: --socket" --socket "$sock"
	mkdir -m 700 "$dir/passed-$kind" "$dir/passed-$kind/vjchan"
	ln "$sock" "$dir/passed-$kind/vjchan/vjd.sock"
	lock=$dir/passed-$kind/vjchan/vjd.sock.lock # held, as that of one that serves is
	flock -F "$lock" sleep 1000 &
	pids+=($!)
	while flock -n "$lock" true; do
		sleep 0.01
	done
	XDG_RUNTIME_DIR=$dir/passed-$kind on_kernel "$says"
done
# nobody listens any more: replaced
python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind(sys.argv[1])' "$dir/stale.sock"
expect 0 "^$dir/stale.sock$" "$vj" run --socket "$dir/stale.sock" -- sh -c 'echo $VJ_SOCKET'
pids+=("$("$vj" status --json --socket "$dir/stale.sock" | python3 -c 'import json, sys; print(json.load(sys.stdin)["daemon"]["pid"])')")

# ---- a daemon that is started on demand

expect 0 "libvj-preload.so.* $XDG_RUNTIME_DIR/vjchan/vjd.sock" "$vj" run -- sh -c 'echo $LD_PRELOAD $VJ_SOCKET'
expect 0 "libvj-preload.so:/other.so" env LD_PRELOAD=/other.so "$vj" run -- sh -c 'echo $LD_PRELOAD'
expect 0 "1 1 $PWD/x.pcap 17" "$vj" run --verbose --strict --pcap x.pcap --spin 17 -- \
	sh -c 'echo $VJ_VERBOSE $VJ_STRICT $VJ_PCAP $VJ_SPIN_US'
# values of the environment that are none are said, and the program runs
dialer=(python3 -c 'import socket; socket.socket().connect_ex(("127.0.0.1", 1))')
for bad in abc 5x 1000001 99999999999999999999; do
	expect 0 "VJ_SPIN_US=$bad is no number of microseconds" env VJ_SPIN_US=$bad "$vj" run --verbose -- "${dialer[@]}"
done
# ... this one when the program attaches, which it does to offer a port
dialer=(python3 -c 'import socket; s = socket.socket(type=socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); s.bind(("127.0.0.1", 0))')
expect 0 "VJ_MTU_PROBING=x is none of 0, 1 and 2" env VJ_MTU_PROBING=x "$vj" run --verbose -- "${dialer[@]}"
said=$(VJ_SPIN_US=-1 VJ_MTU_PROBING=2 "$vj" run --verbose -- "${dialer[@]}" 2>&1)
[[ $said != *VJ_* ]] || fail "right values: $said"
expect 1 "cannot record in '/no/such/dir/x': No such file" "$vj" run --pcap /no/such/dir/x -- true
# io_uring by number is absent, which is said once, and there for who asks for it: errno 14, as it has no parameters
ring=(python3 -c 'import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for i in range(2):
    print(libc.syscall(425, 1, None), ctypes.get_errno())')
said=$("$vj" run --verbose -- "${ring[@]}" 2>&1)
[ "$(grep -c 'VJ_IO_URING=1' <<<"$said") $(grep -c -- '^-1 38$' <<<"$said")" = "1 2" ] || fail "io_uring: $said"
if [ "$("${ring[@]}")" != "$(printf -- '-1 38\n-1 38')" ]; then # a kernel or a container without
	[ "$(VJ_IO_URING=1 "$vj" run -- "${ring[@]}" 2>&1)" = "$("${ring[@]}")" ] || fail "VJ_IO_URING"
fi
# numbers of leases have 32 bits, of which the first is set in half of all cases: each vjd begins somewhere else
for i in {1..6}; do
	"$vj" run --socket "$dir/ids-$i.sock" -- python3 -c '
import socket, subprocess, sys
held = socket.socket(type=socket.SOCK_DGRAM)
held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1) # leased without being read
held.bind(("127.0.0.1", 0))
held.getsockname() # leases what the kernel chose
subprocess.run([sys.argv[1], "status", "--json"])' "$vj" >"$dir/ids.json"
	python3 - "$dir/ids.json" <<-'PY' || fail "vj status --json: $(cat "$dir/ids.json")"
		import json, sys
		said = json.load(open(sys.argv[1]))
		assert said["leases"] and all(0 < l[k] < 2**32 for l in said["leases"] for k in ("id", "app_id"))
	PY
done
expect 0 '^-a b --json$' "$vj" run -- echo -a b --json
expect 0 '^word$' "$vj" run echo word
# an empty directory of $PATH is the current one, wherever it stands
printf '#!/bin/sh\necho here\n' >"$dir/here"
chmod +x "$dir/here"
for path in "" :/bin /bin: /bin::/usr/bin; do
	expect 0 '^here$' env -C "$dir" PATH="$path" "$vj" run -- here
done
expect 127 'in no directory' env -C "$dir" PATH=/bin "$vj" run -- here
# what the kernel doesn't know as a program is a script of the shell's, as with nice(1)
echo 'echo "$# $1"; exit 5' >"$dir/text"
expect 5 "^2 a b$" "$vj" run -- "$dir/text" 'a b' c
expect 5 "^2 a b$" nice "$dir/text" 'a b' c
: >"$dir/text"
expect 0 "" "$vj" run -- "$dir/text"
expect 42 "" "$vj" run -- sh -c 'exit 42'
expect 143 "" sh -c '"$1" run -- sh -c "kill -TERM \$\$"; exit $?' sh "$vj"
expect 0 "vjd [0-9.]+, pid [0-9]+, private" "$vj" status
json "daemon applications leases channels" sh -c '"$1" status --json | tr -d "\n"' sh "$vj"
kids=$("$vj" run -- sh -c 'read -r kids <"/proc/$$/task/$$/children"; echo $kids' 2>/dev/null)
[ -z "${kids// /}" ] || fail "vj run left the program a child: $kids"
# with a vjd there, what names a program and no more takes vj and the library alone, which look as vj-tools would
mkdir "$dir/quick" && cp "$vj" "$build/libvj-preload.so" "$dir/quick"
printf '#!/usr/bin/env sh\nexec "$@"\n' >"$dir/script"
chmod +x "$dir/script"
for words in "env" "-- env" "$(type -P env)" "$dir/script env" "nice env"; do
	# shellcheck disable=SC2086 # words
	expect 0 "^LD_PRELOAD=$dir/quick/libvj-preload.so:/other.so$" env LD_PRELOAD=/other.so "$dir/quick/vj" run $words
done
expect 0 "^VJ_SOCKET=$XDG_RUNTIME_DIR/vjchan/vjd.sock$" "$dir/quick/vj" run env
expect 0 '^ASAN_OPTIONS=a=1:verify_asan_link_order=0$' env ASAN_OPTIONS=a=1 "$dir/quick/vj" run env
expect 0 '^ASAN_OPTIONS=verify_asan_link_order=1$' env ASAN_OPTIONS=verify_asan_link_order=1 "$dir/quick/vj" run env
for words in "--spin 0 -- env" "$dir/static env"; do # the rest is vj-tools', without which they run
	# shellcheck disable=SC2086
	expect 0 "is on the kernel's sockets: cannot run .*vj-tools" "$dir/quick/vj" run $words
done
expect 1 'cannot run .*vj-tools' "$dir/quick/vj" run --strict -- env
expect 1 'cannot run .*vj-tools' "$dir/quick/vj" run no-such-program
expect 0 '^LD_PRELOAD=/.*libvj-preload.so$' sh -c 'for i in $(seq 1100); do export "VAR_$i=$i"; done; exec "$1" run env' sh "$vj"
expect 0 '^libvj-preload.so$' "$vj" run -- "$vj" run -- sh -c 'echo "${LD_PRELOAD##*/}"'
[ "$("$vj" run --strict -- "$vj" run -- echo ran 2>&1)" = ran ] || fail "vj run --strict -- vj run: $("$vj" run --strict -- "$vj" run -- echo ran 2>&1)"
# standard descriptors that are closed stay so, and do not keep vjd from starting
for closed in 0 1 2 "0 1" "1 2" "0 1 2"; do
	at=$dir/closed-${closed// /}
	(
		for fd in $closed; do eval "exec $fd<&-"; done
		exec "$vj" run --strict --socket "$at.sock" -- sh -c 'for fd in $2; do [ ! -e "/proc/self/fd/$fd" ] || exit; done
			echo "$LD_PRELOAD" >"$1"' sh "$at" "$closed"
	) || fail "run with $closed closed: status $?"
	[ -s "$at" ] || fail "run with $closed closed"
done
# an environment that has no room for ours
"$vj" run --socket "$dir/full.sock" -- python3 - "$vj" <<'PY' || fail "run with a full environment"
import os, resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.RLIM_INFINITY)) # a quarter of it is for arguments and environment
os.environ.pop("LD_PRELOAD")
def run(*command, last):
    env = {"PATH": "/usr/bin:/bin", "VJ_SOCKET": os.environ["VJ_SOCKET"]} | {f"F{i}": "x" * 65536 for i in range(3)} | {"LAST": "x" * last}
    try:
        return subprocess.run([*command, "/bin/true"], env=env, capture_output=True, text=True, check=False)
    except OSError:
        return None
lo, hi = 0, 131000
while hi - lo > 1:
    mid = (lo + hi) // 2
    done = run(sys.argv[1], "run", "--", last=mid)
    lo, hi = (mid, hi) if done else (lo, mid)
done = run(sys.argv[1], "run", "--", last=lo)
assert done.returncode == 0 and "no room" in done.stderr, done
PY
"$vj" run --socket "$dir/other.sock" -- true || fail "no vjd at a socket of our own"
expect 0 "at $dir/other.sock" "$vj" status --socket "$dir/other.sock"
stranger=(setpriv "--reuid=$stranger_uid" "--regid=$stranger_uid" --clear-groups)
vjd_pid() {
	"$@" status --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["daemon"]["pid"])'
}
if [ "$(id -u)" = 0 ] && "${stranger[@]}" test -x "$vj" 2>/dev/null; then
	expect 1 "$dir/other.sock: permission denied" "${stranger[@]}" "$vj" status --socket "$dir/other.sock"
	vj_as=$vj
	vj=$dir/vj-as-stranger
	printf '#!/bin/sh\nexec %s "%s" "$@"\n' "${stranger[*]}" "$vj_as" >"$vj"
	chmod +x "$vj"
	on_kernel "$dir/other.sock: permission denied; use another: --socket PATH" --socket "$dir/other.sock"
	# what somebody else has made in its place is told with the way round it
	mkdir "$stranger_place"
	XDG_RUNTIME_DIR=$dir/none on_kernel "cannot start vjd: $stranger_place: belongs to another user .VJ_SOCKET or XDG_RUNTIME_DIR"
	rmdir "$stranger_place"
	vj=$vj_as
	expect 0 "" "${stranger[@]}" "$vj" run -- true # though $XDG_RUNTIME_DIR is not his
	pids+=("$(vjd_pid "${stranger[@]}" "$vj")")
	expect 1 "^note +af_xdp +for root only: not looked at" "${stranger[@]}" "$vj" doctor lo
	# root of a container without privileges: nothing works, and that is said
	expect 1 "^BAD +af_xdp +refused though you are root: CAP_NET_RAW" setpriv --inh-caps=-all --bounding-set=-all "$vj" doctor lo
fi
# In another root directory: without /dev as everywhere; without /proc vj may not find its own library, and says that.
if unshare -m true 2>/dev/null; then
	mkdir "$dir/root"
	# shellcheck disable=SC2016 # the inner shell's
	in_root() { # WITHOUT
		unshare -m sh -c 'mount --rbind / "$1" && mount -t tmpfs none "$1$2" && exec chroot "$1" "$3" run --socket "$4" -- echo ran' sh \
			"$dir/root" "$1" "$vj" "$dir/bare.sock" 2>&1
	}
	said=$(in_root /proc)
	grep -qx ran <<<"$said" || fail "without /proc: $said"
	[ "$(wc -l <<<"$said")" -le 2 ] || fail "without /proc too much is said: $said"
	said=$(in_root /dev)
	[ "$said" = ran ] || fail "without /dev: $said"
	pids+=("$(VJ_SOCKET=$dir/bare.sock vjd_pid "$vj")")
	# ... and whom the program starts there, without the library, is told nothing of it
	mkdir "$dir/small"
	ldd /usr/bin/env | grep -o '/[^ ]*' | while read -r file; do
		cp -L --parents "$file" "$dir/small"
	done
	cp -L --parents /usr/bin/env "$dir/small"
	for more in "" libc.so.6; do
		said=$(LD_PRELOAD=$more "$vj" run -- chroot "$dir/small" /usr/bin/env 2>&1 | grep LD_PRELOAD) || said=
		[ "$said" = "${more:+LD_PRELOAD=$more}" ] || fail "another root, with '$more': $said"
	done
fi
# one that doesn't answer: not for long, whether it is stopped or others wait as well, and the program is told where it is
stopped=$(VJ_SOCKET=$dir/other.sock vjd_pid "$vj")
kill -STOP "$stopped"
begun=$SECONDS
on_kernel "$dir/other.sock: vjd \(process $stopped\) is stopped: kill -CONT $stopped" --socket "$dir/other.sock"
[ $((SECONDS - begun)) -lt 30 ] || fail "run waits $((SECONDS - begun)) s for a vjd that is stopped"
expect 0 "^$dir/other.sock .*libvj-preload.so" "$vj" run --socket "$dir/other.sock" -- sh -c 'echo "$VJ_SOCKET $LD_PRELOAD"'
for cmd in status connections; do
	expect 1 "$dir/other.sock: vjd \(process $stopped\) is stopped: kill -CONT $stopped" "$vj" $cmd --socket "$dir/other.sock"
done
kill -CONT "$stopped"
expect 0 "at $dir/other.sock" "$vj" status --socket "$dir/other.sock"
expect 1 "^vj: attach nosuch: the vjd at $dir/other.sock is a private one, .*: sudo systemctl start" "$vj" attach nosuch --socket "$dir/other.sock"
# one more is not wanted, which is said
expect 0 "^vjd: $dir/other.sock: another vjd serves there" "${vj}d" --private --foreground --socket "$dir/other.sock"
# A vjd was killed, and a child that it had just begun still has its socket and its lock, until it becomes another program
python3 - "$dir/child.sock" <<-'PY'
	import fcntl, os, socket, sys, time
	lock = open(sys.argv[1] + ".lock", "w")
	fcntl.flock(lock, fcntl.LOCK_EX)
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	s.bind(sys.argv[1])
	s.listen()
	if os.fork() == 0:
	    for fd in range(3):
	        os.close(fd)
	    time.sleep(1)
	    os._exit(0)
PY
expect 0 "" "${vj}d" --private --socket "$dir/child.sock"
expect 0 "" "$vj" status --socket "$dir/child.sock"
# one of another version that nobody has named is passed over, for the user's next place
if [ "$VJ_TEST_ALONE" = yes ]; then
	place=/tmp/vjchan-$(id -u)/vjd.sock
	expect 0 "^$place" "$vj" run --socket "$place" -- sh -c 'echo $VJ_SOCKET'
	for kind in newer nonsense; do
		expect 0 "^$place$" env XDG_RUNTIME_DIR="$dir/passed-$kind" "$vj" run -- sh -c 'echo $VJ_SOCKET'
	done
	pids+=("$(VJ_SOCKET=$place vjd_pid "$vj")")
else
	echo "no mount namespace can be had: default places are not tried, and who serves there may be found"
fi
expect 1 "^BAD +lo +no Ethernet" "$vj" doctor lo
expect 1 "^BAD +nonesuch +there is no interface 'nonesuch'" "$vj" doctor nonesuch
expect 1 '"works": false' "$vj" doctor --json nonesuch
expect 1 "^ok +vjd +serves at|^note +vjd +a private one, at $dir/other.sock" "$vj" doctor --socket "$dir/other.sock" nonesuch
"$vj" doctor --json lo >"$dir/doctor.json" && fail "doctor --json finds nothing at lo"
python3 - "$dir/doctor.json" <<'PY' || fail "doctor --json: $(cat "$dir/doctor.json")"
import json, sys
said = json.load(open(sys.argv[1]))
found = {c["what"]: c for c in said["checks"]}
assert said["works"] is False and found["lo"]["finding"] == "BAD" and found["kernel"]["finding"] == "ok"
assert set(found) >= {"kernel", "privilege", "bpf", "bpffs", "af_xdp", "memlock", "huge pages", "vjd", "lo"}, set(found)
assert all(set(c) == {"what", "finding", "text", "mend"} and c["text"] for c in said["checks"])
assert all(c["mend"] for c in said["checks"] if c["finding"] != "ok" and c["what"] != "lo")
PY
expect 1 "^BAD +kernel +Linux 2\.6.*; 6\.1 is the oldest" setarch --uname-2.6 "$vj" doctor lo
for sock in "$dir/kernels.sock" "$dir/other.sock" "$XDG_RUNTIME_DIR/vjchan/vjd.sock"; do
	pids+=("$(VJ_SOCKET=$sock vjd_pid "$vj")")
done

# ---- what is made from the table

"$vj" --completion bash >"$dir/completion"
complete_words() { # the words that complete the last one
	bash -c 'source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vj; echo "${COMPREPLY[@]}"' "$dir/completion" "$@"
}
[ "$(complete_words vj st)" = status ] || fail "completion of st: $(complete_words vj st)"
[ "$(complete_words vj bench rp)" = rpc ] || fail "completion of bench rp"
[ "$(complete_words vj bench --vs k)" = kernel ] || fail "completion of --vs k"
[ "$(complete_words vj run --verb)" = --verbose ] || fail "completion of run --verb"
[ "$(complete_words vj help ben)" = bench ] || fail "completion of help ben"
for cmd in attach detach doctor; do
	[ "$(complete_words vj $cmd l)" = lo ] || fail "completion of interfaces: $(complete_words vj $cmd l)"
done
completes_itself='source "$0"; COMP_WORDS=(vj why $$); COMP_CWORD=2; _vj; [[ " ${COMPREPLY[*]} " == *" $$ "* ]]'
"$vj" run -- bash -c "$completes_itself" "$dir/completion" || fail "completion of vj why"
! bash -c "$completes_itself" "$dir/completion" || fail "completion of vj why has who isn't under vj run"
json "" sh -c '"$1" help --json | tr -d "\n" | sed "s/.*/{\"all\": &}/"' sh "$vj"
for cmd in $("$vj" help --json | python3 -c 'import json, sys; print(*(c["name"] for c in json.load(sys.stdin)))'); do
	"$vj" --man | grep "^.SS vj $cmd " >/dev/null || fail "vj(1) does not know $cmd"
done
for opt in $("$vj" help --json | python3 -c 'import json, sys; print(*(o["name"] for c in json.load(sys.stdin) for o in c["options"]))'); do
	"$vj" --man | grep -F -- "${opt//-/\\-}" >/dev/null || fail "vj(1) does not know --$opt"
done
if type groff >/dev/null 2>&1; then
	for page in "$build"/man/vj.[17] "$build"/man/*.3; do
		said=$(groff -man -Tutf8 -k -ww -z "$page" 2>&1)
		[ -z "$said" ] || fail "$page: $said"
	done
fi
if [ -w /dev/full ]; then
	expect 1 "cannot write standard output: No space" sh -c '"$1" --help >/dev/full' sh "$vj"
	expect 1 "cannot write standard output$" sh -c '"$1" bench rtt --seconds 0.1 --runs 1 >/dev/full' sh "$vj"
fi
# what has nowhere to go does not go to vjd
"$vj" run --socket "$dir/mute.sock" -- sh -c '
	for how in status "status --json" connections "why $$" "arp --json"; do
		said=$("$1" $how 2>&1 >&-) && echo "$how with its output closed ends with 0"
		[ "$said" = "vj: cannot write standard output: Bad file descriptor" ] || echo "$how: $said"
	done
	"$1" status --json' sh "$vj" >"$dir/mute"
python3 -c 'import json, sys
daemon = json.load(open(sys.argv[1]))["daemon"]
assert daemon["refused"] == daemon["malformed"] == 0' "$dir/mute" || fail "closed output: $(cat "$dir/mute")"

# ---- benchmarks run, say what they promise, and clean up

short=(--seconds 0.1 --runs 1)
keys="bench unit vj kernel ratio title vj_runs kernel_runs others left_out line_s settings machine version"
json "$keys" "$vj" bench channel rtt rpc idle "${short[@]}" --vs kernel --connections 10 --json
json "$keys" "$vj" bench udp cps stream "${short[@]}" --vs kernel,unix --connections 10 --json
json "$keys" "$vj" bench udp cps stream "${short[@]}" --wait sleep --connections 10 --json
expect 0 'times unix' "$vj" bench rtt "${short[@]}" --vs unix
expect 0 'times rte_ring|without rte_ring: this vj was built without' "$vj" bench channel "${short[@]}" --vs rte_ring
expect 0 'times lwip|without lwip: this vj was built without' "$vj" bench rtt "${short[@]}" --vs lwip
expect 0 'times lwip|without lwip: this vj was built without' "$vj" bench cps stream "${short[@]}" --connections 5 --vs lwip
expect 0 'without rte_ring: it has nothing like this' "$vj" bench rtt "${short[@]}" --vs rte_ring
mkdir "$dir/alone" && cp "$vj" "$vj-tools" "${vj}d" "$dir/alone"
expect 0 'without rte_ring: .*apt install libdpdk-dev' "$dir/alone/vj" bench channel "${short[@]}" --vs rte_ring
json "$keys" "$vj" bench rtt "${short[@]}" --wait sleep --json
json "$keys vj_connections kernel_connections" "$vj" bench c10m "${short[@]}" --vs kernel --connections 1000 --active 0.5 --rate 20000 --json
expect 0 'came to an orderly end' "$vj" bench c10m "${short[@]}" --connections 1000 --wait sleep
expect 2 'c10m: --bytes takes a number from 24 to 1024, not 8' "$vj" bench c10m --bytes 8
expect 0 'p99.9 ' "$vj" bench rpc "${short[@]}" --connections 7 --bytes 1000
expect 0 '\(1 run: ' "$vj" bench channel "${short[@]}"
expect 0 '1536 B frames' "$vj" bench channel --bytes 1536 --vs kernel,rte_ring "${short[@]}"
for bytes in 65 1544 5000; do
	expect 2 "from 8 to 1536 that 8 divides, not $bytes" "$vj" bench channel --bytes $bytes "${short[@]}"
	expect 2 "from 8 to 1536 that 8 divides, not $bytes" "$vj" bench rtt all --bytes $bytes "${short[@]}"
done
expect 2 "udp: --bytes takes a number from 8 to 1024 that 8 divides, not 60" "$vj" bench udp --bytes 60 "${short[@]}"
! "$vj" bench udp rtt cps stream --wait sleep --vs kernel,unix "${short[@]}" | grep -E 'spinning|polling' ||
	fail "somebody doesn't sleep with --wait sleep"
expect 0 '^cps: .*used for 1024 B' "$vj" bench cps --bytes 1024 --vs kernel,unix,lwip "${short[@]}"
expect 2 "cps: --bytes takes a number from 8 to 1024, not 1025" "$vj" bench cps --bytes 1025 "${short[@]}"
expect 2 "interface: --bytes takes a number from 8 to 1400, not 1401" "$vj" bench rtt interface --bytes 1401 "${short[@]}"
for bench in rpc cps idle all; do
	expect 2 "--connections takes 20000 at most, not 20001; c10m" "$vj" bench $bench --connections 20001 "${short[@]}"
done
if [ "$(id -u)" = 0 ] && type redis-server redis-benchmark iperf3 ethtool nsenter >/dev/null 2>&1 && unshare -nm true 2>/dev/null; then
	json "$keys" "$vj" bench interface --runs 1 --seconds 0.2 --requests 2000 --json
fi
if type redis-server redis-benchmark redis-cli >/dev/null 2>&1; then
	json "$keys set get keys" "$vj" bench redis --vs kernel --runs 1 --requests 2000 --keys 100 --json
else
	expect 1 "apt install redis" "$vj" bench redis
fi
# what is not installed is told and left out
json "$keys" "$vj" bench apps --runs 1 --seconds 0.5 --json
expect 0 'apps-nginx left out: .*apt install nginx-light wrk' env PATH=/nowhere "$vj" bench apps
bench_out=$dir/benchmarks
"$source/scripts/bench" --out "$bench_out" --only rtt,idle "$build" "${short[@]}" >"$dir/out" 2>&1 || fail "scripts/bench: $(cat "$dir/out")"
grep -q '^| rtt: round trip' "$bench_out/results.md" || fail "scripts/bench wrote no table: $(cat "$bench_out/results.md")"
python3 -c 'import json, sys; assert [r["bench"] for r in json.load(open(sys.argv[1]))] == ["rtt", "idle"]' "$bench_out/results.json" ||
	fail "scripts/bench wrote no results"
expect 2 "no benchmark 'nothing'" "$source/scripts/bench" --only nothing
# an earlier result is kept, and one that can't be read isn't written over; nobody needs git
without_git=$dir/without-git
mkdir "$without_git"
ln -s /usr/bin/env /usr/bin/python3 "$without_git"
expect 0 'written to' env PATH="$without_git" "$source/scripts/bench" --out "$bench_out" --only rtt "$build" "${short[@]}"
python3 -c 'import json, sys; assert [(r["bench"], r["commit"] == "unknown") for r in json.load(open(sys.argv[1]))] == [("rtt", True), ("idle", False)]' \
	"$bench_out/results.json" || fail "scripts/bench kept not what was there"
echo '[{' >"$bench_out/results.json"
expect 1 "results.json can't be used" "$source/scripts/bench" --out "$bench_out" --only rtt "$build" "${short[@]}"
[ "$(cat "$bench_out/results.json")" = '[{' ] || fail "scripts/bench wrote over what it could not read"
expect 1 "can't be used" "$source/scripts/bench" --out /dev/null/none --only rtt "$build" "${short[@]}"
[ -z "$(find "$XDG_RUNTIME_DIR" -name 'vj-bench-*')" ] || fail "a benchmark left $(find "$XDG_RUNTIME_DIR" -name 'vj-bench-*')"

"$vj" bench rpc --seconds 300 >"$dir/out" 2>&1 &
bench=$!
kids=()
for _ in {1..600}; do # a vjd, a server and a client
	read -r -a kids <"/proc/$bench/task/$bench/children"
	[ ${#kids[@]} -ge 3 ] && break
	sleep 0.05
done
[ ${#kids[@]} -ge 3 ] || fail "the benchmark does not begin"
kill -INT "$bench"
wait "$bench"
rc=$?
[ $rc = 130 ] || fail "interrupted benchmark: status $rc: $(cat "$dir/out")"
for pid in "${kids[@]}"; do
	for _ in {1..600}; do # whoever inherits it buries it
		[ -e "/proc/$pid" ] || break
		sleep 0.05
	done
	[ ! -e "/proc/$pid" ] || fail "interrupted benchmark left process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline")"
done
[ -z "$(find "$XDG_RUNTIME_DIR" -name 'vj-bench-*')" ] || fail "an interrupted benchmark left its directory"

[ -d "$source/examples" ] || fail "no sources at $source"
[ $failed = 0 ] || echo "$failed failed"
[ $failed = 0 ]
