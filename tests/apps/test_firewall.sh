#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# The host's nftables rules hold on every channel: at an interface, where dispatch and gate run them, and between programs of the host;
# while programs run, and rules come and go.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need redis-server redis-cli nft python3 prlimit

nft_do() {
	at_server nft "$@"
}
nft_do list ruleset >/dev/null 2>&1 || skip "no nftables in this kernel"

# rules CHAIN...: a table with these rules in `input` (policy drop) and nothing else; neighbours, echo and the loopback device are let through
rules() {
	nft_do -f - <<-EOF
		flush ruleset
		table inet f {
			chain input {
				type filter hook input priority 0; policy drop;
				iif lo accept
				ct state established,related accept
				meta l4proto { icmp, ipv6-icmp } accept
				$1
			}
		}
	EOF
}

ping_of() {
	timeout "${2-3}" nsenter --net="/run/netns/$client" redis-cli -h "$1" -p 7000 ping 2>&1
}

answers() {
	[ "$(ping_of 10.77.0.2 20)" = PONG ] && [ "$(ping_of fd77::2 20)" = PONG ]
}

is_silent() {
	[[ $(ping_of 10.77.0.2) != PONG && $(ping_of fd77::2) != PONG ]]
}

# The kernel's own count of the one rule with a comment
kernel_count() {
	nft_do list chain inet f input | sed -n 's/.*packets \([0-9]*\) .*comment "it".*/\1/p'
}

rules 'tcp dport 7000 counter accept comment "it"'
start_vjd --attach eth0
start redis.log "${on_server[@]}" "$vj" run -- redis-server --port 7000 --bind 0.0.0.0 :: --protected-mode no --save '' --dir "$tmp"
has_lease() {
	"$vj" status | has ":$1"
}
until_true has_lease 7000
until_true answers
off_trial 7000
off_trial_at fd77::2 7000
until_true sh -c "timeout 10 nsenter --net='/run/netns/$client' redis-cli -h 10.77.0.2 -p 7000 ping; '$vj' status | grep -Eq '^eth0 +redis-server.* delivered '"
redis=$("$vj" status --json | python3 -c 'import json, sys
print(next(a["pid"] for a in json.load(sys.stdin)["applications"] if a["name"] == "redis-server"))')
until_true rests kernel_count
before=$(kernel_count)
answers || fail "no answer on the channel"
[ "$(kernel_count)" = "$before" ] || fail "the kernel has seen $(kernel_count) packets, not $before: not on the channel"

# ---- what is shown: the kernel's counts and the channels', which go on when rules change

shown_count() {
	"$vj" firewall "$@" | sed -n 's/.*packets \([0-9]*\) .*comment "it".*/\1/p'
}
log_count() {
	grep -c "$1" "$tmp/vjd.log" || true
}
is_longer() {
	[ "$(log_count "$1")" -gt "$2" ]
}
# read_after COMMAND...: which changes rules; and wait until vjd has read them, which may be more than once
read_after() {
	local before
	until_true rests log_count 'firewall: [0-9]* cells'
	before=$(log_count 'firewall: [0-9]* cells')
	"$@"
	until_true is_longer 'firewall: [0-9]* cells' "$before"
}
nft_read() {
	read_after nft_do "$@"
	until_true rests log_count 'firewall: [0-9]* cells'
}
rules_read() {
	read_after rules "$@"
	until_true rests log_count 'firewall: [0-9]* cells'
}
counted=$(shown_count)
[ "$counted" -gt "$before" ] || fail "vj firewall shows $counted packets, the kernel alone $before"
answers || fail "no answer"
[ "$(shown_count)" -gt "$counted" ] || fail "vj firewall doesn't count what is on the channel"
counted=$(shown_count)
nft_read add rule inet f input tcp dport 6997 accept
[ "$(shown_count)" -ge "$counted" ] || fail "$(shown_count) packets after a change of other rules, $counted before"
"$vj" firewall --handle | has 'comment "it" # handle [0-9]*$' || fail "no handles: $("$vj" firewall --handle)"
"$vj" firewall --json | python3 -c '
import json, sys
rules = [i["rule"] for i in json.load(sys.stdin)["nftables"] if "rule" in i]
it = [r for r in rules if r.get("comment") == "it"][0]
sys.exit(next(e["counter"]["packets"] for e in it["expr"] if "counter" in e) < int(sys.argv[1]))' "$counted" || fail "vj firewall --json"
"$vj" firewall >"$tmp/shown.nft"
unshare -n nft -c -f "$tmp/shown.nft" || fail "vj firewall does not write nft's syntax: $(cat "$tmp/shown.nft")"
chmod 711 "$tmp"
! setpriv --reuid=65534 --clear-groups "$vj" firewall 2>"$tmp/nobody.log" || fail "anybody sees rules"
has "root's to see" <"$tmp/nobody.log" || fail "nobody: $(cat "$tmp/nobody.log")"

# ---- a new rule: new connections at once, and an established one within a second of when vjd has it in force

"${on_client[@]}" python3 - >"$tmp/flow.log" 2>&1 <<-'EOF' &
	import socket, time, sys
	s = socket.create_connection(("10.77.0.2", 7000), 60)
	s.settimeout(10)
	while True:
	    try:
	        s.sendall(b"PING\r\n")
	        if not s.recv(100):
	            break
	    except OSError:
	        break
	    print(time.time(), flush=True)
	    time.sleep(0.02)
EOF
flow=$!
until_true grep -q '^[0-9]' "$tmp/flow.log"
until_true rests log_count 'firewall: [0-9]* cells'
changed=$(date +%s.%N)
read_after nft_do insert rule inet f input tcp dport 7000 counter drop
in_force=$(date +%s.%N)
wait "$flow" || true
python3 - "$changed" "$in_force" "$tmp/flow.log" <<-'EOF' || fail "an established flow went on"
	import sys
	changed, in_force = map(float, sys.argv[1:3])
	answers = [float(line) for line in open(sys.argv[3]) if line[0].isdigit()]
	print("the flow stopped %.3f s after the rule" % (answers[-1] - changed))
	sys.exit(len([t for t in answers if t - in_force > 1.0]) > 1) # one may be told late
EOF
is_silent || fail "a dropped port answers"

# ---- a read that fails: once, and nothing happens; twice, and no port is given, which is said once; then all comes back

follow_flow() {
	"${on_client[@]}" python3 - >"$tmp/flow.log" 2>&1 <<-'EOF' &
		import socket, time
		s = socket.create_connection(("10.77.0.2", 7000), 60)
		s.settimeout(60)
		while True:
		    s.sendall(b"PING\r\n")
		    if not s.recv(100):
		        break
		    print(time.time(), flush=True)
		    time.sleep(0.02)
	EOF
	flow=$!
	until_true grep -q '^[0-9]' "$tmp/flow.log"
}
stays_on_channel() {
	local before
	before=$(kernel_count)
	answers && [ "$(kernel_count)" = "$before" ]
}
# vjd can open nothing more
starve_vjd() {
	files=$(prlimit --pid "$vjd" --nofile --noheadings --raw --output SOFT)
	prlimit --pid "$vjd" --nofile=3:
}
feed_vjd() {
	prlimit --pid "$vjd" --nofile="$files":
}
rules 'tcp dport 7000 counter accept comment "it"'
# fails_once: the next try comes after a second, in which vjd is to be fed; false where a busy machine was too slow for that
fails_once() {
	local cells stay none
	until_true stays_on_channel
	until_true rests log_count 'firewall: [0-9]* cells'
	follow_flow
	cells=$(log_count 'firewall: [0-9]* cells') stay=$(log_count 'the rules stay as they were') none=$(log_count 'no channel is given')
	starve_vjd
	nft_do add rule inet f input tcp dport 6999 accept
	until_true is_longer 'the rules stay as they were' "$stay"
	feed_vjd
	until_true is_longer 'firewall: [0-9]* cells' "$cells"
	sleep 0.5
	if [ "$(log_count 'no channel is given')" != "$none" ]; then
		kill "$flow" 2>/dev/null || true
	else
		kill "$flow" 2>/dev/null || fail "a read that failed once ended a connection: $(tail -1 "$tmp/flow.log")"
	fi
	wait "$flow" 2>/dev/null || true
	[ "$(log_count 'no channel is given')" = "$none" ]
}
for try in 1 2 3 4 no; do
	[ $try != no ] || fail "no channel is given after one failure"
	if fails_once; then break; fi
done
until_true rests log_count 'no channel is given'
none=$(log_count 'no channel is given')
starve_vjd
nft_do add rule inet f input tcp dport 6998 accept
until_true is_longer 'no channel is given' "$none"
sleep 2.5
[ "$(log_count 'no channel is given')" = $((none + 1)) ] || fail "the same failure is logged again and again"
feed_vjd
until_true stays_on_channel

# ---- reject: a reset, and an ICMP error. (XDP sends them back, and a veth takes that with NAPI at its other end; it delivers with the next frame)

at_client ethtool -K eth0 gro on >/dev/null
connect_says() {
	at_client python3 - "$1" "$2" <<-'EOF'
		import errno, socket, sys
		try:
		    socket.create_connection((sys.argv[1], 7000), 30)
		    sys.exit("connected")
		except OSError as e:
		    print(e)
		    sys.exit(errno.errorcode.get(e.errno) != sys.argv[2])
	EOF
}
rules 'tcp dport 7000 reject with tcp reset'
until_true connect_says 10.77.0.2 ECONNREFUSED
until_true connect_says fd77::2 ECONNREFUSED
rules 'tcp dport 7000 reject with icmpx type admin-prohibited'
until_true connect_says 10.77.0.2 EHOSTUNREACH
until_true connect_says fd77::2 EACCES

# ---- what is not compiled is left to the kernel: the port has no channel, and is served

rules 'tcp dport 7000 log prefix "x" accept comment "it"'
nft_do add rule inet f input tcp dport 7000 counter accept 'comment "it"'
until_true grep -q "only the kernel has: inet f input handle" "$tmp/vjd.log"
rules 'tcp dport 7000 limit rate 1000/second counter log accept comment "it"'
until_true answers
quoted='firewall: inet f input handle [0-9]*: tcp dport 7000 limit rate 1000/second counter log .*comment "it" (log is not compiled)$'
until_true sh -c "'$vj' why $redis | grep '$quoted'"
"$vj" why "$redis" | has "^  therefore the kernel's at eth0: tcp [^,]*:7000, tcp [^,]*:7000\$" || fail "not by rule: $("$vj" why "$redis")"
[ "$("$vj" why "$redis" | grep -c "$quoted")" = 1 ] || fail "the rule is quoted several times: $("$vj" why "$redis")"
"$vj" status | has "$quoted" || fail "vj status doesn't quote the rule: $("$vj" status)"
"$vj" firewall | has 'comment "it" # only the kernel has it: log is not compiled' || fail "vj firewall: $("$vj" firewall)"
"$vj" why "$redis" --json | python3 -c 'import json, sys; sys.exit("limit rate" not in json.load(sys.stdin)["rules"][0]["rule"])' ||
	fail "vj why --json"
[ "$(kernel_count)" -gt 0 ] || fail "a port with a rule that is not compiled stays on the channel"

# what the row of a socket says is what the rules leave of it, be it before or after the first connections
# rows_say PID PORT PATH WHY [INTERFACES]: of its listeners at the port; WHY "": no reason
rows_say() {
	"$vj" why "$1" --json | python3 -c '
import json, sys
port, path, why, at = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4].split()
rows = [s for s in json.load(sys.stdin)["sockets"] if s["listens"] and s["local"]["port"] == port]
said = [(s["path"], s.get("why", {}).get("name", ""), s.get("interfaces", [])) for s in rows]
sys.exit(not rows or any(s != (path, why, at) for s in said) and "%s" % said)' "$2" "$3" "$4" "${5-}"
}
until_true rows_say "$redis" 7000 both FIREWALL_FAR # it is kept off eth0
"$vj" why "$redis" | has ':7000 .* both .* programs of this host only, the firewall' || fail "vj why: $("$vj" why "$redis")"
nft_read add rule inet f input tcp dport 7300 log accept
start waits.log "${on_server[@]}" "$vj" run -- python3 -c 'import socket; socket.create_server(("10.77.0.2", 7300)).accept()'
waits=${pids[-1]}
until_true has_lease 7300
until_true rows_say "$waits" 7300 both FIREWALL_FAR
nft_read insert rule inet f input iif lo counter accept
until_true rows_say "$redis" 7000 kernel FIREWALL
until_true rows_say "$waits" 7300 kernel FIREWALL # it is kept off every channel
kill "$waits"

# ---- and back, with sets

rules 'tcp dport { 22, 6999-7001 } ip saddr { 10.77.0.0/24 } counter accept comment "it"; ip6 saddr fd77::/64 tcp dport 7000 accept'
until_true stays_on_channel # it has come back

# ---- outbound

nft_do add chain inet f output '{ type filter hook output priority 0; policy accept; }'
nft_do add rule inet f output tcp sport 7000 drop
until_true is_silent
nft_do flush chain inet f output
until_true answers

# ---- between programs of this host: directly; through the kernel, where a rule counts; not at all, where one forbids it

ask_here() {
	timeout 60 nsenter --net="/run/netns/$server" "$vj" run -- redis-cli -h 127.0.0.1 -p 7000 ping 2>&1
}
direct_cnt() {
	grep -c 'channel [0-9]*: app' "$tmp/vjd.log" || true
}
loopback_count() {
	nft_do list chain inet f input | sed -n 's/.*iif "lo" counter packets \([0-9]*\) .*/\1/p'
}
asks_directly() {
	local before
	before=$(direct_cnt)
	[ "$(ask_here)" = PONG ] && [ "$(direct_cnt)" -gt "$before" ]
}
until_true asks_directly # nothing is against it

# one that a forked child holds, which has no lease, ends with the others
cat >"$tmp/forker.py" <<-'EOF'
	import os, socket
	s = socket.create_server(("::", 7200), family=socket.AF_INET6, dualstack_ipv6=True)
	c = s.accept()[0]
	if os.fork() == 0:
	    s.close()
	    while c.send(c.recv(10)): pass
	    os._exit(0)
	c.close()
	s.accept()
EOF
cat >"$tmp/holder.py" <<-'EOF'
	import socket, sys, time
	c = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 60)
	c.settimeout(10)
	for n in range(1000):
	    try:
	        c.send(b"x")
	        if c.recv(10) != b"x": sys.exit("ended")
	    except OSError as e:
	        sys.exit("ended")
	    if n == 3: print("held", flush=True)
	    time.sleep(0.05)
EOF
start forker.log "${on_server[@]}" "$vj" run -- python3 "$tmp/forker.py"
until_true has_lease 7200
start holder.log "${on_server[@]}" "$vj" run -- python3 "$tmp/holder.py" 7200
holder=${pids[-1]}
until_true grep -q held "$tmp/holder.log"
nft_do insert rule inet f input iif lo ip protocol tcp tcp dport 7200 drop
wait "$holder" && fail "what a forked child holds goes on"
grep -q ended "$tmp/holder.log" || fail "holder: $(cat "$tmp/holder.log")"

# and one whose listener is closed
rules_read 'tcp dport 7000 counter accept'
cat >"$tmp/closer.py" <<-'EOF'
	import socket
	s = socket.create_server(("::", 7201), family=socket.AF_INET6, dualstack_ipv6=True)
	c = s.accept()[0]
	s.close()
	while c.send(c.recv(10)): pass
EOF
start closer.log "${on_server[@]}" "$vj" run -- python3 "$tmp/closer.py"
until_true has_lease 7201
before=$(direct_cnt)
start holder2.log "${on_server[@]}" "$vj" run -- python3 "$tmp/holder.py" 7201
holder=${pids[-1]}
until_true grep -q held "$tmp/holder2.log"
[ "$(direct_cnt)" -gt "$before" ] || fail "not directly, though nothing is against it"
has_no_lease() {
	! has_lease "$1"
}
until_true has_no_lease 7201
nft_do insert rule inet f input iif lo ip protocol tcp tcp dport 7201 drop
wait "$holder" && fail "what was accepted by a listener that is closed goes on"
grep -q ended "$tmp/holder2.log" || fail "holder: $(cat "$tmp/holder2.log")"

nft_read insert rule inet f input iif lo counter accept
until_true rows_say "$redis" 7000 both '' eth0
before=$(direct_cnt)
"$vj" why "$redis" | has 'firewall: inet f input handle [0-9]*: iif "lo" counter accept (it counts)$' ||
	fail "vj why: $("$vj" why "$redis")"
rows_say "$redis" 7000 both '' eth0 || fail "vj why: a port that is kept off channels between programs of this host"
"$vj" why "$redis" | has ':7000 .* both .*(only at eth0)' || fail "vj why: $("$vj" why "$redis")"
"$vj" firewall | has 'counter packets [0-9]* bytes [0-9]* accept # keeps ports off channels between programs of this host: it counts$' ||
	fail "vj firewall: $("$vj" firewall)"
[ "$(ask_here)" = PONG ] || fail "no answer by way of the kernel"
[ "$(direct_cnt)" = "$before" ] || fail "directly, though a rule counts"
[ "$(loopback_count)" -gt 0 ] || fail "the rule has counted nothing"
nft_read insert rule inet f input iif lo tcp dport 7000 drop
[ "$(ask_here)" != PONG ] || fail "a rule for the loopback device does not hold between programs"

# ---- beyond the host, where only the kernel has some rule of output: by the kernel, at once and not when SYNs have been dropped for a while

"${on_client[@]}" python3 - <<-'EOF' & # not at_client: the process to end is this one, not a shell that waits for it
	import socket
	s = socket.create_server(("10.77.0.1", 7100))
	while True:
	    s.accept()[0].close()
EOF
pids+=($!)
# out RULE TABLE: the rule in output, behind a counter of what the kernel sends to port 7100; and another table
out_rules() {
	nft_do -f - <<-EOF
		flush ruleset
		table ip g {
			chain o {
				type filter hook output priority 0;
				tcp dport 7100 tcp flags syn counter comment "knock"
				$1
			}
		}
		$2
	EOF
}
out() {
	read_after out_rules "$@"
	until_true rests log_count 'firewall: [0-9]* cells'
}
nat='table ip n { chain o { type nat hook output priority -100; tcp dport 81 redirect to :82; }; }'
by_kernel() {
	nft_do list chain ip g o | sed -n 's/.*packets \([0-9]*\) .*comment "knock".*/\1/p'
}
cat >"$tmp/knock.py" <<-'EOF'
	import socket, sys, time
	def knock():
	    t = time.monotonic()
	    socket.create_connection(("10.77.0.1", 7100), 60).close()
	    print("%.3f" % (time.monotonic() - t), flush=True)
	knock()
	for line in sys.stdin:
	    knock()
EOF
knocks=1
has_knocked() {
	[ "$(grep -c '^[0-9]' "$tmp/knock.log")" -ge $knocks ]
}
# The program that runs connects once more, within a second; or $tries times, since a busy machine may need that second for itself.
knock() {
	for tries in 1 2 3 4 5; do
		knocks=$((knocks + 1))
		echo >&7
		until_true has_knocked
		[[ ! $(tail -1 "$tmp/knock.log") =~ ^0\.[0-8] ]] || return 0
	done
	fail "connect: $(tail -1 "$tmp/knock.log")"
}
# Likewise a new one each time.
knock_anew() {
	local said
	for tries in 1 2 3 4 5; do
		said=$(timeout 60 "${on_server[@]}" "$vj" run -- python3 "$tmp/knock.py" </dev/null) || fail "$gap: a new program can't connect"
		[[ ! $said =~ ^0\.[0-8] ]] || return 0
	done
	fail "$gap: connect of a new program: $said"
}
mkfifo "$tmp/knock"
exec 7<>"$tmp/knock"
out '' ''
"${on_server[@]}" "$vj" run -- python3 "$tmp/knock.py" <"$tmp/knock" >"$tmp/knock.log" 2>&1 &
pids+=($!)
until_true has_knocked
# Nothing is against the channel. Whom a busy machine doesn't answer within a second, the kernel connects: three times
knock_on_channel() {
	for _ in 1 2 3; do
		out '' ''
		knock
		[ "$(by_kernel)" != 0 ] || return 0
	done
	fail "$1"
}
knock_on_channel "not on the channel, though nothing is against it"
for gap in nat log; do
	if [ $gap = nat ]; then out '' "$nat"; else out 'tcp dport 81 log' ''; fi
	knock
	before=$(by_kernel)
	((before >= tries)) || fail "$gap: the program that ran has not come by the kernel"
	knock_anew
	(($(by_kernel) >= before + tries)) || fail "$gap: a new program has not come by the kernel"
	knock_on_channel "$gap: not back on the channel"
done
exec 7>&-

# A server of datagrams behind such a rule: asked by the kernel, it answers by the kernel.
cat >"$tmp/echo.py" <<-'EOF'
	import socket
	s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
	s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1) # so it is on channels before it reads
	s.bind(("0.0.0.0", 7200))
	print("bound", flush=True)
	while True:
	    s.sendto(*s.recvfrom(100))
EOF
is_echoed() {
	at_client python3 -c '
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(b"x", ("10.77.0.2", 7200))
s.recv(100)'
}
start echo.log "${on_server[@]}" "$vj" run -- python3 "$tmp/echo.py"
until_true is_echoed
out 'udp dport 5353 log' ''
is_echoed || fail "no answer from a server that was there before the rule"
kill "${pids[-1]}"
start echo2.log "${on_server[@]}" "$vj" run -- python3 "$tmp/echo.py"
until_true grep -q bound "$tmp/echo2.log"
is_echoed || fail "no answer from a server that has come after the rule"

# ---- vjd dies: the rules hold without it, and the next one follows them again

rules 'tcp dport 7000 accept'
until_true answers
kill -9 "$vjd"
wait "$vjd" 2>/dev/null || true
answers || fail "without vjd"
start_vjd
rules 'tcp dport 7000 drop'
until_true is_silent

# ---- tables of the old iptables, of which no news come: no channel while they are there. To ask for a table is to make it, and
# iptables-legacy does no more for that; it doesn't go without its module, so vjd is shown an empty directory instead.

unread='old iptables are in force'
rules 'tcp dport 7000 counter accept comment "it"'
until_true answers
make_legacy_table() {
	at_server python3 - <<-'EOF'
		import ctypes, socket
		IPT_SO_GET_INFO = 64
		s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
		info, size = ctypes.create_string_buffer(b"filter", 84), ctypes.c_uint(84)
		ctypes.CDLL(None).getsockopt(s.fileno(), 0, IPT_SO_GET_INFO, info, ctypes.byref(size))
	EOF
	at_server grep -q filter /proc/thread-self/net/ip_tables_names 2>/dev/null
}
until_true stays_on_channel
if ! make_legacy_table; then
	echo "not tested: tables of the old iptables, which this kernel doesn't have"
else
	until_true grep -q "$unread" "$tmp/vjd.log"
	is_off_channel() {
		answers && ! stays_on_channel
	}
	until_true is_off_channel # what would be past rules of the old iptables
	mkdir "$tmp/empty"
	if mount --bind "$tmp/empty" "/proc/$vjd/task/$vjd/net" 2>/dev/null; then
		until_true stays_on_channel
		umount "/proc/$vjd/task/$vjd/net"
	else
		echo "not tested: tables of the old iptables go"
	fi
fi
echo "the rules hold"
