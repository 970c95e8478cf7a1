#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# Tools that look into a program, around and inside vj run: its calls do what they do on the kernel.
. "${VJ_SOURCE_DIR:?}/tests/apps/lib.sh"
need valgrind gdb strace

calls=$build/tests/apps/calls
kernel_stamps
start kernel "$calls" kernel
kernel=${pids[1]}

# gdb NAME: stops in a thread, looks around, goes on
cat >"$tmp/gdb" <<-'GDB'
	set pagination off
	handle SIGSEGV SIGPIPE SIGALRM SIGUSR1 SIGUSR2 SIG35 nostop noprint pass
	break drain
	run channel >OUT
	backtrace
	info threads
	continue
GDB
sed -i "s|OUT|$tmp/gdb.out|" "$tmp/gdb"

# what NAME COMMAND...: its transcript is the kernel's; each with a vjd of its own, all at the same time
declare -A running
what() {
	local name=$1
	shift
	VJ_SOCKET=$tmp/$name.sock "$vj" run -- "$@" >"$tmp/$name.out" 2>"$tmp/$name.err" &
	running[$name]=$!
	pids+=($!)
}

# valgrind doesn't know MADV_DONTFORK: its search for leaks, when a child ends, faults at each word of what the child doesn't have of the parent's
what valgrind valgrind -q --leak-check=no "$calls" channel
# strace prints for ever at a control message that claims the length -1, which the calls send on purpose
what strace strace -f -e 'trace=!sendmsg,sendmmsg' -o "$tmp/strace.log" "$calls" channel
what asan "$build/tests/apps/calls-asan" channel
what tsan "$build/tests/apps/calls-tsan" channel
VJ_SOCKET=$tmp/gdb.sock "$vj" run -- gdb -q -batch -x "$tmp/gdb" "$calls" >"$tmp/gdb.said" 2>"$tmp/gdb.err" &
running[gdb]=$!
pids+=($!)

# valgrind starts a ppoll() or pselect() over that a handler came before, with a mask of its own, and then refuses that, with a word or without (3.19); the slower the
# machine, the more often. The other tools have the same result as the kernel.
own_mask() { # NAME
	sed -Ei '/^-- masks of calls that wait/,/^-- /s/^(pselect|ppoll): EFAULT$/\1: 0/' "$tmp/$1.out"
}

wait "$kernel" || fail "calls ended early on the kernel"
for name in "${!running[@]}"; do
	wait "${running[$name]}" || { tail -n 20 "$tmp/$name.err" "$tmp/$name.out"; fail "$name: ended badly"; }
	[[ $name != valgrind ]] || own_mask valgrind
	diff -u "$tmp/kernel" "$tmp/$name.out" || fail "$name: another result than on the kernel"
	echo "$name: as on the kernel"
done
grep -q 'in drain (' "$tmp/gdb.said" || has 'drain (arg=' "$tmp/gdb.said" || { cat "$tmp/gdb.said"; fail "gdb: did not stop in the thread"; }
grep -q 'vj-helper' "$tmp/gdb.said" || fail "gdb: shows no helper thread"
grep -q 'WARNING: ThreadSanitizer\|ERROR: AddressSanitizer\|runtime error' "$tmp/asan.err" "$tmp/tsan.err" && fail "a sanitizer complains"
# pointers to nowhere, and 2,000 pieces out of one, that the calls are given on purpose are told as parameters of system calls
# ... and what lies where nothing may be read (test_jump_fault() in calls_jump.c) is no business of ours
awk '/^==[0-9]+== $/ { if (bad && !meant) print what; bad = meant = 0; what = ""; next }
	/Invalid (read|write|free)|Use of uninitialised|depends on uninitialised/ { bad = 1 }
	/ test_jump_fault \(/ { meant = 1 }
	{ what = what $0 "\n" }
	END { if (bad && !meant) print what }' "$tmp/valgrind.err" >"$tmp/valgrind.bad"
[ ! -s "$tmp/valgrind.bad" ] || { cat "$tmp/valgrind.bad"; fail "valgrind complains"; }
grep -q 'epoll_pwait' "$tmp/strace.log" || fail "strace: shows nothing"

# A program whose peers are all the kernel's makes hardly more system calls than without channels: what its start takes, a look at vjd's board now
# and then, which is as often as the machine is slow, but not one for each of 1,000 connections and datagrams, or for each of 1,000 that it accepts.
start vjd "$vj" run -- sleep 1000
until_true test -S "$VJ_SOCKET"
counted() { # NAME COMMAND...: system calls of the first process's first thread
	strace -c -o "$tmp/$1.calls" "${@:2}" >"$tmp/$1.out" || fail "$1: ended early"
	awk '$NF == "total" { sum += $4 } $NF == "pread64" { sum -= $4 } END { print sum }' "$tmp/$1.calls"
}
for part in many_kernel many_accepted; do
	bare=$(counted bare "$build/tests/apps/procs" kernel $part)
	ours=$(counted ours "$vj" run -- "$build/tests/apps/procs" channel $part)
	((ours - bare < 800)) || { diff "$tmp/bare.calls" "$tmp/ours.calls"; fail "$part: $ours system calls, $bare on the kernel"; }
	echo "$part: hardly more system calls than on the kernel"
done

# ... and takes no numbers of its own, the first of which costs one with threads 8 to 12 ms: the kernel makes its table of descriptors larger. So that is
# done before there are any, src/lib/own_fd.h. Nor does one whose vjd is gone.
few_numbers() { # NAME COMMAND...
	strace -f -o "$tmp/$1.numbers" "${@:2}" "$build/tests/apps/procs" channel kernels_set >"$tmp/out" || fail "$1: ended early"
	# a call may be split in two, `<unfinished ...>` and `<... fcntl resumed>`
	grep -E ' (fcntl|eventfd2|socket|open[a-z0-9]*|epoll_create1)(\(| resumed).*= ([6-9][0-9]|[0-9]{3,4})$|CLONE_THREAD' "$tmp/$1.numbers" >"$tmp/$1.high" || true
	grep -q "CLONE_THREAD" "$tmp/$1.high" || fail "$1: no thread"
	[[ $(sed -n 1p "$tmp/$1.high") == *" fcntl"* && $(sed -n 2p "$tmp/$1.high") == *CLONE_THREAD* ]] ||
		fail "$1: the table of descriptors has not grown before the first thread"
	(($(grep -c -v CLONE_THREAD "$tmp/$1.high") == 1)) || fail "$1: who asks by the kernel has descriptors of ours"
	echo "$1: no descriptors of ours"
}
few_numbers kernels_set "$vj" run --
few_numbers no_vjd env VJ_SOCKET="$tmp/no_vjd" LD_PRELOAD="$build/libvj-preload.so"

# A child of fork() has the parent's memory, but no page of a library mapped: what it looks up in that is dear (src/preload/real.c). Of those that find
# starts each has our library, too, which is some five.
faults() { # COMMAND...: page faults of it and its children, the fewest of four runs: where pages lie is chance
	for _ in {1..4}; do
		python3 -c 'import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt)' "$@"
	done | sort -n | sed -n 1p
}
few_faults() { # CHILDREN MOST COMMAND...: more of them a child than on the kernel
	local bare ours
	bare=$(faults "${@:3}")
	ours=$(faults "$vj" run -- "${@:3}")
	((ours - bare <= $1 * $2)) || fail "${*:3}: $ours page faults, $bare on the kernel"
	echo "$3: hardly more page faults than on the kernel"
}
mkdir "$tmp/many"
touch "$tmp/many/"{1..100}
few_faults 100 6 sh -c 'for i in "$@"; do x=$(echo $i); done' sh {1..100}
few_faults 100 15 find "$tmp/many" -type f -exec true {} \;

# Handlers of a program without threads are noted without a system call: shells set some for each program that they start.
masks() { # COMMAND...: how often it and its children set a mask of signals
	strace -f -c -o "$tmp/masks" "$@" || fail "$*: ended early"
	awk '$NF == "rt_sigprocmask" { print $4 }' "$tmp/masks"
}
bare=$(masks bash -c 'for i in {1..20}; do /bin/true; done')
ours=$(masks env VJ_SOCKET="$VJ_SOCKET" LD_PRELOAD="$build/libvj-preload.so" bash -c 'for i in {1..20}; do /bin/true; done')
((ours - bare <= 10)) || fail "bash sets $ours masks, $bare on the kernel"

# What the kernel takes back with a process that ends is left to it: the memory of its channels, under the eyes of its other thread.
# Its peer stays: of one that ends first the memory is given back at once.
port=$(free_port)
start echo "$vj" run -- python3 -c 'import socket, sys, time
client = socket.create_server(("127.0.0.1", int(sys.argv[1]))).accept()[0]
client.sendall(client.recv(99))
time.sleep(1000)' "$port"
has_lease "$port"
said=$(strace -f -e trace=mmap,munmap -o "$tmp/end.log" "$vj" run -- bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$1"; echo hello >&3; read -r said <&3; echo "$said"' - "$port")
[ "$said" = hello ] || fail "bash: $said"
awk '/PROT_WRITE, MAP_SHARED, / && / = 0x/ { mapped[$NF]; any = 1 }
	/munmap\(/ { sub(/.*munmap\(/, ""); sub(/,.*/, ""); if ($0 in mapped) again = 1 }
	END { exit !any || again }' "$tmp/end.log" || fail "no channel, or its memory is unmapped: $(cat "$tmp/end.log")"

# What vj run does before it is the program: of 43 calls, some of them libc's, none waits for vjd, and no library is mapped.
if readelf -lW "$vj" | has INTERP; then
	echo "vj is not static here: its start is not counted"
	exit 0
fi
until_true test -s "$VJ_SOCKET.board"
strace -o "$tmp/run.log" "$vj" run -- /bin/true
sed -n '2,/^execve/p' "$tmp/run.log" >"$tmp/run"
! grep -E '^(p?poll|recv|send|open.*\.so["0-9.])' "$tmp/run" || fail "vj run waits, or loads libraries"
[ "$(wc -l <"$tmp/run")" -le 50 ] || { cat "$tmp/run"; fail "vj run makes more calls than it did"; }
