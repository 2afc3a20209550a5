"""Compacting a table of many small files, beside Spark's rewrite_data_files: joined as they are, and sorted.

Each engine has tables of its own, made alike by weir of the telemetry input in SMALL files (400). What counts is MB of those files a second of CPU
of the engine's processes (so of one core), and the seconds by the clock, all of it from the command to the committed table. weir is a
process that begins and ends; Spark is one that has compacted a small table before. The same target size, zstd level 1. Afterwards DuckDB
counts the rows of both and sums over all their values. Environment: ROWS_PARQUET, SMALL.
"""
import json
import os

from . import host, parquet, peers, tables

SMALL = os.environ.get("SMALL", "400")
TARGET = 128 << 20
ORDERS = {"binpack": [], "sort": ["athlete_id", "timestamp"]}
SPARK_JAVA = ("spark.driver.memory=4g", "spark.driver.extraJavaOptions=-XX:+UseSerialGC")


def fill(bench, folder, table, source, files):
	"""Bytes of the table's files."""
	return tables.measured([bench, "fill", folder, table, source, str(files)])[2]


def weir_compacts(folder, table, columns):
	command = [host.WEIR, "compact", f"bench.{table}", "--catalog", folder + "/control.db", "--all", "--target", str(TARGET)]
	if columns:
		command += ["--sort", ",".join(columns)]
	with open(os.path.join(host.WORK, "compact.log"), "w") as log:
		return host.measure(command, stdout=log)


def spark_compacts(spark, table, columns):
	"""(seconds, CPU seconds)"""
	order = ", ".join(f"{column} ASC NULLS FIRST" for column in columns)
	how = f"strategy => 'sort', sort_order => '{order}'" if columns else "strategy => 'binpack'"
	cpu = peers.cpu_seconds(spark.pid)
	answer = json.loads(spark.ask("sql", f"CALL weir.system.rewrite_data_files(table => 'bench.{table}', {how}, options => "
		f"map('rewrite-all', 'true', 'target-file-size-bytes', '{TARGET}'))"))
	if not answer["ok"]:
		raise host.Failed(f"compact: Spark says {answer['error'][:300]}")
	return answer["ms"] / 1e3, peers.cpu_seconds(spark.pid) - cpu


def spark_measured(folder):
	"""{order: (seconds, CPU seconds)} and the peak memory, after it has done the same to a table to warm up."""
	with peers.Started("spark", folder + "/control.db", folder + "/warehouse", *SPARK_JAVA) as spark:
		for columns in ORDERS.values():
			spark_compacts(spark, "warm", columns)
		found = {order: spark_compacts(spark, "spark_" + order, columns) for order, columns in ORDERS.items()}
		return found, peers.peak_memory(spark.pid)


def compare_rows(bench, duckdb, folder, names):
	places = [tables.uri(bench, folder, name) for name in names]
	lines = host.output_of(duckdb + [os.path.join(peers.HERE, "iceberg_peer.py"), "duckdb_digest"] + places).splitlines()
	if len(set(lines)) != 1:
		raise host.Failed("compact: DuckDB finds other rows: " + "; ".join(f"{name}: {line}" for name, line in zip(names, lines)))
	host.say(f"compact: DuckDB finds the same in {', '.join(names)}: {lines[0].split()[0]} rows")


def run(results):
	bench = tables.program("iceberg")
	duckdb = peers.duckdb(results)
	if duckdb is None:
		return
	source = os.path.join(parquet.make_inputs(duckdb), "telemetry.parquet")
	folder = host.fresh("compact")
	spark_there = peers.try_install(results, "Spark", "spark", "install")
	sizes = {name: fill(bench, folder, name, source, SMALL) for name in ["untouched"] + ["weir_" + order for order in ORDERS]}
	ours = {order: weir_compacts(folder, "weir_" + order, columns) for order, columns in ORDERS.items()}
	compare_rows(bench, duckdb, folder, list(sizes))
	theirs, memory = {}, 0
	if spark_there:
		for name in ["warm"] + ["spark_" + order for order in ORDERS]:
			fill(bench, folder, name, source, 8 if name == "warm" else SMALL)
		try:
			theirs, memory = spark_measured(folder)
		except host.Failed as problem:
			results.not_measured("Spark", str(problem))
	if theirs:
		compare_rows(bench, duckdb, folder, ["untouched"] + ["spark_" + order for order in ORDERS])
	for order, cost in ours.items():
		mb = sizes["weir_" + order] / 1e6
		seconds, cpu = theirs.get(order, (None, None))
		peer = "Spark" if cpu else None
		results.add(f"compact_{order}.mb_core", mb / cost.cpu_s, f"MB/s of a core, {mb:.0f} MB in {SMALL} files", peer, mb / cpu if cpu else None)
		results.add(f"compact_{order}.seconds", cost.wall_s, "s", peer, seconds)
		results.add(f"compact_{order}.memory", cost.rss / 2**20, "MiB", peer, memory / 2**20 if memory else None)
