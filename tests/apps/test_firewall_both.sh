#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
#
# Drop, reject and counters, of datagrams and connections, inbound and outbound, IPv4 and IPv6, at an interface and between programs of the host: what a rule says
# happens, and is counted, though the kernel sees none of it.

. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/interface_lib.sh"
need nft python3

at_server nft list ruleset >/dev/null 2>&1 || skip "no nftables in this kernel"

# rule HOOK RULE: the one rule, with a counter of its own in it
rule() {
	local before
	until_true rests cells
	before=$(cells)
	at_server nft -f - <<-EOF
		flush ruleset
		table inet f {
			chain c {
				type filter hook $1 priority 0;
				$2 comment "it"
			}
		}
	EOF
	until_true has_read "$before"
	until_true rests cells # perhaps more than once; ports are put back to their channels after that
}
cells() {
	grep -c 'firewall: [0-9]* cells' "$tmp/vjd.log" || true
}
has_read() {
	[ "$(cells)" -gt "$1" ]
}
# holds WHAT HOOK RULE CHECK...: with the rule in force each of these commands finds what it says. A busy machine may spoil it, by a SYN that is sent
# again or a port that is late on its channel: three times
holds() {
	local what=$1 hook=$2 text=$3
	shift 3
	for _ in 1 2 3; do
		rule "$hook" "$text"
		if all_true "$@"; then return; fi
	done
	fail "$what: $why"
}
all_true() {
	local words
	for words in "$@"; do
		$words || return
	done
}
packets() {
	sed -n 's/.*packets \([0-9]*\) .*comment "it".*/\1/p'
}
# counted N: on channels, and nothing in the kernel
counted() {
	local kernel all
	kernel=$(at_server nft list ruleset | packets)
	all=$("$vj" firewall | packets)
	why="the kernel has counted $kernel packets, vj firewall shows $all, not $1"
	[ "$kernel $all" = "0 $1" ]
}
# in_kernel N: counted by the kernel
in_kernel() {
	why=$(at_server nft list ruleset)
	[ "$(packets <<<"$why")" = "$1" ]
}

cat >"$tmp/echo.py" <<-'EOF'
	import socket
	u = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
	u.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
	u.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1) # so it is on channels before it reads
	u.bind(("::", 7000))
	print("ready", flush=True)
	while True:
	    u.sendto(*u.recvfrom(100))
EOF
cat >"$tmp/say.py" <<-'EOF'
	# say.py CNT EXPECTED HOST...: so many datagrams to each; how many were answered and how many refused, of each. What is expected is waited for
	import socket, sys
	cnt, expected = int(sys.argv[1]), sys.argv[2]
	for host in sys.argv[3:]:
	    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
	    s.settimeout(0.4 if expected[0] == "0" else 20)
	    s.connect((host, 7000))
	    answered = refused = 0
	    for _ in range(cnt):
	        try:
	            s.send(b"x")
	            answered += s.recv(10) == b"x"
	        except ConnectionRefusedError:
	            refused += 1
	        except TimeoutError:
	            pass
	    if expected.endswith("some") and not refused:
	        s.settimeout(20)
	        try:
	            s.recv(10)
	        except ConnectionRefusedError:
	            refused += 1
	        except TimeoutError:
	            pass
	    print("%d,%s" % (answered, "some" if refused else 0), end=" ")
EOF
cat >"$tmp/call.py" <<-'EOF'
	# call.py EXPECTED HOST...: what connect() says, of each; a connection that is not answered within a second is silent, if that is expected
	import errno, socket, sys
	for host in sys.argv[2:]:
	    try:
	        socket.create_connection((host, 7100), 1 if sys.argv[1] == "silent" else 60).close()
	        print("connected", end=" ")
	    except TimeoutError:
	        print("silent", end=" ")
	    except OSError as e:
	        print(errno.errorcode[e.errno], end=" ")
EOF
# say EXPECTED: of five datagrams to each address of the server
say() {
	local said
	said=$(at_client python3 "$tmp/say.py" 5 "$1" 10.77.0.2 fd77::2)
	why="answered,refused: $said; not $1"
	[ "$said" = "$1 $1 " ]
}
# call EXPECTED: a program of the server to the client's port; under a parent of its own, else it would be one of many short programs
call() {
	local said
	said=$("${on_server[@]}" sh -c '"$@"; exit $?' sh "$vj" run -- python3 "$tmp/call.py" "$1" 10.77.0.1 fd77::1 2>&1)
	why="$said, not $1"
	[ "$said" = "$1 $1 " ]
}

# XDP sends back what is rejected; a veth takes that with NAPI at its other end, and delivers it with the next frame
at_client ethtool -K eth0 gro on >/dev/null
start nudge.log "${on_server[@]}" python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    s.sendto(b"x", ("10.77.0.1", 9))
    time.sleep(0.02)'
start_vjd --attach eth0
start echo.log "${on_server[@]}" "$vj" run -- python3 "$tmp/echo.py"
start listen.log "${on_client[@]}" python3 -c '
import socket
s = socket.create_server(("::", 7100), family=socket.AF_INET6, dualstack_ipv6=True, backlog=50)
while True:
    s.accept()[0].close()'
until_true grep -q ready "$tmp/echo.log"

# the first ones come while the port is not on its channel yet
on_channel() {
	rule input 'udp dport 7000 counter accept'
	say 5,0 && counted 10
}
until_true on_channel

holds "datagrams dropped inbound" input 'udp dport 7000 counter drop' "say 0,0" "counted 10"
holds "datagrams rejected inbound" input 'udp dport 7000 counter reject' "say 0,some" "counted 10"
holds "datagrams dropped outbound" output 'udp sport 7000 counter drop' "say 0,0" "counted 10"
holds "datagrams rejected outbound" output 'udp sport 7000 counter reject' "say 0,0" "counted 10"
holds "datagrams that are accepted outbound" output 'udp sport 7000 counter accept' "say 5,0" "counted 10"
holds "connections that are counted outbound" output 'tcp dport 7100 tcp flags & (syn|ack) == syn counter accept' "call connected" "counted 2"
holds "connections rejected outbound" output 'tcp dport 7100 counter reject with tcp reset' "call ECONNREFUSED"
holds "connections dropped outbound" output 'tcp dport 7100 counter drop' "call silent"

# ---- between programs of the host: nobody stands between them, so only what accepts and doesn't count leaves them a channel

direct_cnt() {
	grep -c 'channel [0-9]*: app' "$tmp/vjd.log" || true
}
# say_here EXPECTED DIRECTLY
say_here() {
	local said before
	before=$(direct_cnt)
	said=$("${on_server[@]}" sh -c '"$@"; exit $?' sh "$vj" run -- python3 "$tmp/say.py" 5 "$1" 127.0.0.1 ::1)
	why="answered,refused: $said; not $1; $(($(direct_cnt) - before)) channels of their own"
	[ "$said" = "$1 $1 " ] && [ "$(($(direct_cnt) > before))" = "$2" ]
}
holds "datagrams between programs, accepted" input 'iif lo udp dport 7000 accept' "say_here 5,0 1"
holds "datagrams between programs, counted" input 'iif lo udp dport 7000 counter accept' "say_here 5,0 0" "in_kernel 10"
holds "datagrams between programs, dropped" input 'iif lo udp dport 7000 counter drop' "say_here 0,0 0"
holds "datagrams between programs, rejected" input 'iif lo udp dport 7000 counter reject' "say_here 0,some 0"
echo "what each rule says happens"
