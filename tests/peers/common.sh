# Sourced by the scripts beside it. PEERS: where the peers are installed (default build/peers here). PEER_RUN: where the running
# ones keep their process ids, logs and sockets (default PEERS/run); two runs beside each other have one each, and ports of their own.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
PEERS=${PEERS:-$(cd "$HERE/../../.." && pwd)/build/peers}
RUN=${PEER_RUN:-$PEERS/run}
export PIP_CACHE_DIR=$PEERS/pip PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$PEERS"

# venv NAME PACKAGE...: a Python environment with exactly these packages, made once.
venv() {
	local folder=$PEERS/venv-$1
	shift
	if [ ! -f "$folder/.done" ]; then
		python3 -m venv "$folder"
		"$folder/bin/pip" -q install "$@" >&2
		touch "$folder/.done"
	fi
}

# maven ARGUMENTS...: Maven with its repository in PEERS.
maven() {
	mvn -q -B -ntp -Dstyle.color=never -Dmaven.repo.local="$PEERS/maven" "$@" >&2
}

# jar COORDINATES FILE: one artifact as FILE.
jar() {
	[ -f "$2" ] || maven dependency:copy -Dartifact="$1" -DoutputDirectory="$(dirname "$2")"
}

# jars POM FOLDER: what a POM names, and what that needs, once.
jars() {
	[ -f "$2/.done" ] && return 0
	mkdir -p "$2"
	maven -f "$1" dependency:copy-dependencies -DoutputDirectory="$2" -DincludeScope=runtime
	touch "$2/.done"
}

alive() {
	[ -f "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null
}

# launch NAME SECONDS READY COMMAND...: a server in the background, until its log has READY. Where it ends before,
# or is not ready in time, nothing of it is left, and the last lines of its log and what to do are said.
launch() {
	local name=$1 tries=$(($2 * 5)) ready=$3 log=$RUN/$1.log pid=$RUN/$1.pid
	shift 3
	mkdir -p "$RUN"
	if alive "$pid"; then
		echo "$name runs already (process $(cat "$pid")); '$0 stop' ends it, PEER_RUN=FOLDER starts another" >&2
		exit 1
	fi
	: >"$log"
	nohup "$@" >>"$log" 2>&1 &
	echo $! >"$pid"
	until grep -q -- "$ready" "$log"; do
		tries=$((tries - 1))
		if ! alive "$pid" || [ "$tries" -le 0 ]; then
			grep -v '^[[:space:]]*at ' "$log" | tail -n 12 >&2
			echo "$name did not start$(alive "$pid" && echo ' in time'); its log is $log" >&2
			end "$pid"
			exit 1
		fi
		sleep 0.2
	done
}

# need_port NUMBER: fails, saying what to do, where something listens there.
need_port() {
	if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
		echo "port $1 is taken; PORT=N names another" >&2
		exit 1
	fi
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
	local tries=$(($1 * 5))
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		if [ "$tries" -le 0 ]; then
			echo "not ready in time: $*" >&2
			return 1
		fi
		sleep 0.2
	done
}

# end PIDFILE: asks that process to stop and waits until it has; after 30 s it is killed.
end() {
	[ -f "$1" ] || return 0
	local pid
	pid=$(cat "$1")
	kill "$pid" 2>/dev/null || true
	for _ in $(seq 300); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	kill -9 "$pid" 2>/dev/null || true
	rm -f "$1"
}

usage() {
	sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
	exit 2
}
