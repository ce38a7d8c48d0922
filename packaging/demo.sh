#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Starts a daemon (unless one answers), deploys two examples, calls each at its tenant route and
# shows what came back and what it cost. `packaging/demo.sh stop` ends the daemon that it started.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$PWD/build/bin
data=${MAYFLY_DATA_DIR:-/var/lib/mayfly}
listen=${MAYFLY_LISTEN:-127.0.0.1:8080}
[ "$(id -u)" = 0 ] || data=${MAYFLY_DATA_DIR:-$HOME/.local/share/mayfly}
export MAYFLY_URL=${MAYFLY_URL:-http://$listen} MAYFLY_DATA_DIR=$data
export PATH=$bin:$PATH
pid_file=$data/demo.pid

is_ready() { curl -fsS -o /dev/null "$MAYFLY_URL/readyz" 2>/dev/null; }

is_ours() { # the pid file may be older than the process that has its number now
	[ -f "$pid_file" ] && tr '\0' ' ' 2>/dev/null <"/proc/$(cat "$pid_file")/cmdline" |
		grep -qF -- "mayfly-daemon --data-dir $data "
}

stop() {
	if ! is_ours; then
		echo "no daemon of the demo is running"
		return
	fi
	local pid
	pid=$(cat "$pid_file")
	kill "$pid"
	while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
	rm -f "$pid_file"
	echo "stopped"
}

start() {
	if is_ready; then
		echo "A daemon answers at $MAYFLY_URL already: using it."
		return
	fi
	if [ "$(id -u)" = 0 ] && ! getent passwd mayfly >/dev/null; then
		useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin mayfly
	fi
	mkdir -p "$data"
	echo "Starting the daemon at $MAYFLY_URL, data in $data (log: $data/demo.log)."
	setsid mayfly serve --data-dir "$data" --listen "$listen" \
		>"$data/demo.log" 2>&1 </dev/null &
	echo $! >"$pid_file"
	for _ in $(seq 300); do
		is_ready && return
		kill -0 "$(cat "$pid_file")" 2>/dev/null || break
		sleep 0.1
	done
	echo "the daemon did not become ready; its last words:" >&2
	tail -n 15 "$data/demo.log" >&2
	exit 1
}

try() { # name
	local url=$MAYFLY_URL/api/org/default/$1?name=Ada head id
	head=$(mktemp)
	echo
	echo "== $1"
	mayfly deploy "examples/$1"
	echo "\$ curl '$url'"
	curl -fsS -D "$head" "$url"
	echo
	id=$(tr -d '\r' <"$head" | sed -n 's/^[Xx]-[Cc]all-[Ii]d: *//p')
	rm -f "$head"
	echo "\$ mayfly calls show $id"
	mayfly calls show "$id"
}

if [ "${1:-}" = stop ]; then
	stop
	exit
fi
start
try hello-node
try hello-python
cat <<END

The daemon goes on at $MAYFLY_URL. Try your own:

  export PATH=$bin:\$PATH
  mayfly init --runtime node hello && mayfly deploy hello && mayfly call hello -d '{"name":"Ada"}'
  mayfly logs -f hello          what it prints
  mayfly doctor                 what protects it on this machine
  make demo-stop                ends the daemon
END
