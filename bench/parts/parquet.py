"""Parquet beside DuckDB, pyarrow, parquet-rs and carquet: the same rows, the same codec, with one thread and with two.

Inputs are made by DuckDB: telemetry and commerce (of `weir gen`), lineitem as TPC-H has it, wide texts. Read: every value of a snappy file. Write: rows
in memory as plain columns to a file, zstd level 1 and snappy. Scan: a thousandth of lineitem by a range of its rising key, of the file that
weir wrote. Rows a second of the fastest of TIMES runs in each of ROUNDS processes: one thread by its CPU seconds, two (names end in _2) by the clock. In a round
each engine has its turn, so that a machine that is slow for a while is so for all of them. The size of what was written
and the largest peak memory of the processes come with it. parquet-rs is built by cargo of bench/parquet-rs, carquet of the checkout that CARQUET
names (default: carquet in PEERS). What a peer cannot do is said and left out. Environment: ROWS_PARQUET (1000000 of lineitem), ROUNDS (3), TIMES (3), PEERS.
"""
import os
import shutil
import subprocess
import tempfile

from . import host, peers, tables

ROWS = int(os.environ.get("ROWS_PARQUET", "1000000"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
TIMES = os.environ.get("TIMES", "3")
INPUTS = ["telemetry", "commerce", "lineitem", "wide"]
SHOP = os.path.join(host.ROOT, "tests", "lakes", "shop")
PEER = os.path.join(peers.HERE, "parquet_peer.py")
BENCH = os.path.join(host.ROOT, "bench")


def make_inputs(python):
	"""The folder of the inputs, made once."""
	folder = os.path.join(host.WORK, f"parquet-{ROWS}")
	if not all(os.path.exists(os.path.join(folder, name + ".parquet")) for name in INPUTS):
		os.makedirs(folder, exist_ok=True)
		events, _ = host.events_file(ROWS * 7 // 10, 200)
		visits = os.path.join(folder, "visits.ndjson")
		host.output_of([host.WEIR, "gen", SHOP, "--athletes", "5000", "--days", "30", "--events", str(ROWS), "--out", visits])
		host.output_of(["env", f"LINES={ROWS}"] + python + [PEER, "make", folder, events, visits])
		os.remove(visits)
	return folder


def parquet_rs(results):
	"""The program of bench/parquet-rs; None where it cannot be built."""
	target = os.path.join(peers.PEERS, "parquet-rs")
	if shutil.which("cargo") is None:
		results.not_measured("parquet-rs", "there is no cargo")
		return None
	host.say("parquet-rs ...")
	done = subprocess.run(["cargo", "build", "--release", "--quiet", "--manifest-path", os.path.join(BENCH, "parquet-rs", "Cargo.toml"),
		"--target-dir", target], stderr=subprocess.PIPE, text=True, check=False)
	if done.returncode != 0:
		results.not_measured("parquet-rs", (done.stderr.strip() or "cargo failed").splitlines()[-1])
		return None
	return [os.path.join(target, "release", "parquet-rs-peer")]


def carquet(results):
	"""bench/carquet_peer.c on the checkout that CARQUET names; None without one."""
	checkout = os.environ.get("CARQUET", os.path.join(peers.PEERS, "carquet"))
	if not os.path.exists(checkout):
		results.not_measured("carquet", "CARQUET=FOLDER names a checkout of it; it is in no registry")
		return None
	build, program = host.fresh("carquet"), os.path.join(host.WORK, "carquet_peer")
	commands = [["cmake", "-S", checkout, "-B", build, "-DCMAKE_BUILD_TYPE=Release", "-DCARQUET_BUILD_TESTS=OFF",
			"-DCARQUET_BUILD_BENCHMARKS=OFF", "-DCARQUET_BUILD_EXAMPLES=OFF"],
		["cmake", "--build", build, "--target", "carquet"],
		["cc", "-O3", "-std=gnu17", "-fopenmp", "-Wall", "-Wextra", "-o", program, os.path.join(BENCH, "carquet_peer.c"), "-I", checkout + "/include",
			os.path.join(build, "libcarquet.a"), "-lzstd", "-lz", "-lm", "-lpthread"]]
	for command in commands:
		done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False)
		if done.returncode != 0:
			results.not_measured("carquet", f"{' '.join(command[:2])}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
			return None
	return [program]


def run(results):
	bench = tables.program("parquet")
	duckdb = peers.duckdb(results)
	if duckdb is None:
		return
	others, unable = {"duckdb": duckdb + [PEER, "duckdb"]}, {}
	arrow = peers.pyiceberg(results)
	if arrow is not None:
		others["pyarrow"] = arrow + [PEER, "pyarrow"]
	for name, program in (("parquet-rs", parquet_rs(results)), ("carquet", carquet(results))):
		if program is not None:
			others[name] = program
	folder = make_inputs(duckdb)
	for name in INPUTS:
		path = os.path.join(folder, name + ".parquet")
		for threads in ("1", "2"):
			end = "" if threads == "1" else "_2"
			compare(results, f"parquet_read_{name}{end}", others, unable, bench, ["read", threads, TIMES, path])
			for codec in ("zstd", "snappy"):
				compare(results, f"parquet_write_{name}_{codec}{end}", others, unable, bench, ["write", threads, TIMES, path, codec], sizes=True)
	written = os.path.join(folder, "lineitem.weir.parquet")
	host.output_of([bench, "write", "1", "1", os.path.join(folder, "lineitem.parquet"), "zstd", written])
	able = {name: command for name, command in others.items() if name in ("duckdb", "pyarrow")}
	compare(results, "parquet_scan_lineitem", able, unable, bench,
		["scan", "1", TIMES, written, "l_orderkey", str(ROWS // 2), str(ROWS // 2 + ROWS // 1000)], per_second=False)
	for (peer, why), names in unable.items():
		more = f" and {len(names) - 1} more" if len(names) > 1 else ""
		results.not_measured(f"{names[0]}{more} of {peer}", why)


def measure(command, threads):
	"""[seconds, rows, bytes, peak memory]; host.Failed has the last line of what the program says of its failure."""
	with tempfile.TemporaryFile("w+") as said:
		try:
			seconds, *others = host.output_of(command, cores=int(threads), stderr=said).split()
		except host.Failed as problem:
			said.seek(0)
			raise host.Failed((said.read().strip() or str(problem)).splitlines()[-1]) from None
	return [float(seconds)] + [int(word) for word in others]


def best(one, other):
	"""Of two measurements of the same: the lesser seconds, the larger memory."""
	return [min(one[0], other[0]), other[1], other[2], max(one[3], other[3])]


def compare(results, name, others, unable, bench, words, sizes=False, per_second=True):
	able, least, problems = {"weir": [bench], **others}, {}, {}
	for _ in range(ROUNDS):
		for engine, command in able.items():
			try:
				now = measure(command + words, words[1])
			except host.Failed as problem:
				problems[engine] = problem
				continue
			least[engine] = best(least.get(engine, now), now)
	if "weir" in problems:
		raise problems["weir"]
	for engine, problem in problems.items():
		if engine not in least:
			unable.setdefault((engine, str(problem)), []).append(name)
	ours = least["weir"]
	for peer in others:
		if peer not in least:
			continue
		theirs = least[peer]
		if theirs[1] != ours[1]:
			raise host.Failed(f"{name}: {ours[1]} rows, and {theirs[1]} of {peer}")
		if per_second:
			results.add(f"{name}.rows_{peer}", ours[1] / ours[0], "rows/s", peer, theirs[1] / theirs[0])
		else:
			results.add(f"{name}.ms_{peer}", ours[0] * 1e3, "ms", peer, theirs[0] * 1e3)
		if sizes:
			results.add(f"{name}.bytes_{peer}", ours[2], "B", peer, theirs[2])
		results.add(f"{name}.memory_{peer}", ours[3] / 2 ** 20, "MiB", peer, theirs[3] / 2 ** 20)
