#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# own_network.sh COMMAND... - in a network namespace with a loopback interface alone: tests that run side by side have
# all ports each, and the counters are their own. Where none can be made the test is skipped, with words: in the machine's
# network two that want the same port would fail now and then, and nobody would know why.

if [ "$(id -u)" = 0 ]; then
	how='unshare -n' drop=
else # the capabilities that it takes go again: the tests are an ordinary user's
	how='unshare -Un --map-current-user --keep-caps' drop='setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all'
fi
if ! why=$($how ip link set lo up 2>&1); then
	echo "skipped: no network namespace can be made for it: $why"
	exit 77
fi
# shellcheck disable=SC2086 # words
exec $how sh -c 'ip link set lo up && exec "$@"' sh $drop "$@"
