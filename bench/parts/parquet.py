"""Parquet on one thread, beside DuckDB and pyarrow: the same rows, the same codec, CPU seconds of the fastest of several runs.

Inputs are made by DuckDB: telemetry (of `weir gen`), lineitem as TPC-H has it, wide texts. Read: every value of a snappy file. Write: rows
in memory as plain columns to a file, zstd level 1 and snappy. Scan: a thousandth of lineitem by a range of its rising key, of the file that
weir wrote. Rows a second; the size of what was written and the peak memory of the process come with it. Environment: PEERS (folders
venv-duckdb and venv-iceberg in build/peers, made by `make interop`), ROWS_PARQUET (1000000 of lineitem).
"""
import os
import subprocess
import sys

from . import host

PEERS = os.environ.get("PEERS", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "build", "peers"))
ROWS = int(os.environ.get("ROWS_PARQUET", "1000000"))
INPUTS = ["telemetry", "lineitem", "wide"]
SCAN = ["l_orderkey", str(ROWS // 2), str(ROWS // 2 + ROWS // 1000)]
PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "parquet_peer.py")


def python_of(name):
	"""The interpreter of a peer's folder, or this one where it has the peer's module."""
	path = os.path.join(PEERS, name, "bin", "python")
	return path if os.path.exists(path) else sys.executable


def run(results):
	build = os.path.dirname(host.WEIR)
	bench = os.path.join(build, "bench_parquet")
	if os.path.exists(os.path.join(build, "build.ninja")):
		subprocess.run(["ninja", "-C", build, "bench_parquet"], stdout=subprocess.DEVNULL, check=True)
	if not os.path.exists(bench):
		raise host.Failed(f"{bench} is not there; build first")
	peers = {"duckdb": python_of("venv-duckdb"), "pyarrow": python_of("venv-iceberg")}
	for name in list(peers):
		if subprocess.run([peers[name], "-c", f"import {name}"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
			host.say(f"parquet: {name} is not installed; what it would say is left out")
			del peers[name]
	if "duckdb" not in peers:
		host.say("parquet: the inputs are made by DuckDB's Python package, which is not there; nothing was measured")
		return
	folder = make_inputs(peers["duckdb"])
	for name in INPUTS:
		path = os.path.join(folder, name + ".parquet")
		compare(results, f"parquet_read_{name}", peers, bench, ["read", path])
		for codec in ("zstd", "snappy"):
			compare(results, f"parquet_write_{name}_{codec}", peers, bench, ["write", path, codec], sizes=True)
	written = os.path.join(folder, "lineitem.weir.parquet")
	measure([bench, "write", os.path.join(folder, "lineitem.parquet"), "zstd", "1", written])
	compare(results, "scan_lineitem_range", peers, bench, ["scan", written] + SCAN, per_second=False)


def make_inputs(python):
	folder = os.path.join(host.WORK, f"parquet-{ROWS}")
	if not all(os.path.exists(os.path.join(folder, name + ".parquet")) for name in INPUTS):
		os.makedirs(folder, exist_ok=True)
		events, _ = host.events_file(ROWS * 7 // 10, 200)
		host.output_of(["env", f"LINES={ROWS}", python, PEER, "make", folder, events])
	return folder


def measure(command):
	"""(CPU seconds, rows, bytes, peak memory)"""
	seconds, *others = host.output_of(command).split()
	return [float(seconds)] + [int(word) for word in others]


def compare(results, name, peers, bench, words, sizes=False, per_second=True):
	ours = measure([bench] + words)
	others = {peer: measure([python, PEER, peer] + words) for peer, python in peers.items()}
	for peer, theirs in others.items():
		if theirs[1] != ours[1]:
			raise host.Failed(f"{name}: {ours[1]} rows, and {theirs[1]} of {peer}")
		if per_second:
			results.add(f"{name}.rows_{peer}", ours[1] / ours[0], "rows/s", peer, theirs[1] / theirs[0])
		else:
			results.add(f"{name}.ms_{peer}", ours[0] * 1e3, "ms", peer, theirs[0] * 1e3)
		if sizes:
			results.add(f"{name}.bytes_{peer}", ours[2], "B", peer, theirs[2])
		results.add(f"{name}.memory_{peer}", ours[3] / 2 ** 20, "MiB", peer, theirs[3] / 2 ** 20)
