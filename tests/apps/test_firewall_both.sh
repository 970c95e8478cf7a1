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
	sleep 0.3 # ports are put back to their channels after that
}
cells() {
	grep -c 'firewall: [0-9]* cells' "$tmp/vjd.log" || true
}
has_read() {
	[ "$(cells)" -gt "$1" ]
}
packets() {
	sed -n 's/.*packets \([0-9]*\) .*comment "it".*/\1/p'
}
# counted N: on channels, and nothing in the kernel
counted() {
	local kernel all
	kernel=$(at_server nft list ruleset | packets)
	all=$("$vj" firewall | packets)
	[ "$kernel $all" = "0 $1" ] || fail "$what: the kernel has counted $kernel packets, vj firewall shows $all, not $1"
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
	# say.py CNT HOST...: so many datagrams to each; how many were answered and how many refused, of each
	import socket, sys
	for host in sys.argv[2:]:
	    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
	    s.settimeout(0.3)
	    s.connect((host, 7000))
	    answered = refused = 0
	    for _ in range(int(sys.argv[1])):
	        try:
	            s.send(b"x")
	            answered += s.recv(10) == b"x"
	        except ConnectionRefusedError:
	            refused += 1
	        except TimeoutError:
	            pass
	    print("%d,%s" % (answered, "some" if refused else 0), end=" ")
EOF
cat >"$tmp/call.py" <<-'EOF'
	# call.py HOST...: what connect() says, of each; a connection that is not answered within a second is silent
	import errno, socket, sys
	for host in sys.argv[1:]:
	    try:
	        socket.create_connection((host, 7100), 1).close()
	        print("connected", end=" ")
	    except TimeoutError:
	        print("silent", end=" ")
	    except OSError as e:
	        print(errno.errorcode[e.errno], end=" ")
EOF
# say EXPECTED: of five datagrams to each address of the server
say() {
	local said
	said=$(at_client python3 "$tmp/say.py" 5 10.77.0.2 fd77::2)
	[ "$said" = "$1 $1 " ] || fail "$what: answered,refused: $said; not $1"
}
# call EXPECTED: a program of the server to the client's port
call() {
	local said
	said=$("${on_server[@]}" "$vj" run -- python3 "$tmp/call.py" 10.77.0.1 fd77::1 2>&1)
	[ "$said" = "$1 $1 " ] || fail "$what: $said, not $1"
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

what="datagrams that are accepted"
on_channel() {
	rule input 'udp dport 7000 counter accept'
	(say 5,0 && counted 10) 2>/dev/null
}
until_true on_channel

what="datagrams dropped inbound"
rule input 'udp dport 7000 counter drop'
say 0,0
counted 10

what="datagrams rejected inbound"
rule input 'udp dport 7000 counter reject'
say 0,some
counted 10

what="datagrams dropped outbound"
rule output 'udp sport 7000 counter drop'
say 0,0
counted 10

what="datagrams rejected outbound"
rule output 'udp sport 7000 counter reject'
say 0,0
counted 10

what="datagrams that are accepted outbound"
rule output 'udp sport 7000 counter accept'
say 5,0
counted 10

what="connections that are counted outbound"
rule output 'tcp dport 7100 tcp flags & (syn|ack) == syn counter accept'
call connected
counted 2

what="connections rejected outbound"
rule output 'tcp dport 7100 counter reject with tcp reset'
call ECONNREFUSED

what="connections dropped outbound"
rule output 'tcp dport 7100 counter drop'
call silent

# ---- between programs of the host: nobody stands between them, so only what accepts and doesn't count leaves them a channel

direct_cnt() {
	grep -c 'channel [0-9]*: app' "$tmp/vjd.log" || true
}
# say_here EXPECTED DIRECTLY
say_here() {
	local said before
	before=$(direct_cnt)
	said=$("${on_server[@]}" "$vj" run -- python3 "$tmp/say.py" 5 127.0.0.1 ::1)
	[ "$said" = "$1 $1 " ] || fail "$what: answered,refused: $said; not $1"
	[ "$(($(direct_cnt) > before))" = "$2" ] || fail "$what: a channel of their own: not $2"
}
what="datagrams between programs, accepted"
rule input 'iif lo udp dport 7000 accept'
say_here 5,0 1

what="datagrams between programs, counted"
rule input 'iif lo udp dport 7000 counter accept'
say_here 5,0 0
[ "$(at_server nft list ruleset | packets)" = 10 ] || fail "$what: $(at_server nft list ruleset)"

what="datagrams between programs, dropped"
rule input 'iif lo udp dport 7000 counter drop'
say_here 0,0 0

what="datagrams between programs, rejected"
rule input 'iif lo udp dport 7000 counter reject'
say_here 0,some 0
echo "what each rule says happens"
