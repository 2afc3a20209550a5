# Sourced by the scripts beside it. PEERS: where the peers and their data are kept (default build/peers here).
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[1]}")" && pwd)
PEERS=${PEERS:-$(cd "$HERE/../../.." && pwd)/build/peers}
export PIP_CACHE_DIR=$PEERS/pip PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir -p "$PEERS"

# venv NAME PACKAGE...: a Python environment with exactly these packages, made once.
venv() {
	local folder=$PEERS/venv-$1
	shift
	if [ ! -f "$folder/.done" ]; then
		python3 -m venv "$folder"
		"$folder/bin/pip" -q install "$@"
		touch "$folder/.done"
	fi
}

# maven ARGUMENTS...: Maven with its repository in PEERS.
maven() {
	mvn -q -B -ntp -Dmaven.repo.local="$PEERS/maven" "$@"
}

# jar COORDINATES FILE: one artifact as FILE.
jar() {
	[ -f "$2" ] || maven dependency:copy -Dartifact="$1" -DoutputDirectory="$(dirname "$2")"
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

# end PIDFILE: asks that process to stop and waits until it has.
end() {
	[ -f "$1" ] || return 0
	local pid
	pid=$(cat "$1")
	kill "$pid" 2>/dev/null || true
	for _ in $(seq 300); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.1
	done
	rm -f "$1"
}

usage() {
	sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
	exit 2
}
