#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# own_network.sh COMMAND... - in a network namespace with a loopback interface alone: tests that run side by side have
# all ports each, and the counters are their own. Where none can be made, in the machine's network: only a test that
# wants a port for itself could meet another there.

if [ "$(id -u)" = 0 ]; then
	how='unshare -n' drop=
else # the capabilities that it takes go again: the tests are an ordinary user's
	how='unshare -Un --map-current-user --keep-caps' drop='setpriv --inh-caps=-all --ambient-caps=-all --bounding-set=-all'
fi
$how ip link set lo up 2>/dev/null || exec "$@"
# shellcheck disable=SC2086 # words
exec $how sh -c 'ip link set lo up && exec "$@"' sh $drop "$@"
