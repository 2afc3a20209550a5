"""PyIceberg and DuckDB doing what iceberg_bench does, on tables that it made; they print what it prints.

usage: iceberg_peer.py pyiceberg_plan DIR TABLE LOW HIGH TIMES
       iceberg_peer.py pyiceberg_commit DIR TABLE COMMITS
       iceberg_peer.py pyiceberg_count DIR TABLE                       live data files
       iceberg_peer.py duckdb_scan METADATA THREADS TIMES COLUMN LOW HIGH
       iceberg_peer.py duckdb_outside CONTROL NAMESPACE TABLE CONDITION  a line a look at the newest metadata: begun, ended (monotonic
                                                                       clock) and how many rows fit; until none does, after "go"
       iceberg_peer.py duckdb_digest METADATA...                       rows and a sum over all their values, a line each
"""
import datetime
import sys
import time


def peak_memory():
	with open("/proc/self/status") as file:
		return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def say(milliseconds, found, cells=0):
	print(f"{milliseconds:.3f} {found} {cells} {peak_memory()}")


def least(times, call, clock=time.perf_counter):
	"""Milliseconds of the fastest of several runs, and the last one's result."""
	best, result = None, None
	for _ in range(int(times)):
		start = clock()
		result = call()
		took = (clock() - start) * 1e3
		best = min(best, took) if best is not None else took
	return best, result


def instant(microseconds):
	return (datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(microseconds=int(microseconds))).isoformat()


# ---- PyIceberg ----

def open_catalog(folder):
	from pyiceberg.catalog.sql import SqlCatalog
	return SqlCatalog("weir", uri=f"sqlite:///{folder}/control.db", warehouse=f"file://{folder}/warehouse")


def pyiceberg_plan(folder, name, low, high, times):
	from pyiceberg.expressions import AlwaysTrue, And, GreaterThanOrEqual, LessThan
	catalog, condition = open_catalog(folder), AlwaysTrue()
	if low != "-":
		condition = And(GreaterThanOrEqual("time", instant(low)), LessThan("time", instant(high)))
	say(*least(times, lambda: sum(1 for _ in catalog.load_table(("bench", name)).scan(row_filter=condition).plan_files())))


def pyiceberg_commit(folder, name, commits):
	from pyiceberg.manifest import DataFile
	table = open_catalog(folder).load_table(("bench", name))
	like = next(iter(table.scan().plan_files())).file
	members = ("content", "file_format", "partition", "record_count", "file_size_in_bytes", "column_sizes", "value_counts",
		"null_value_counts", "nan_value_counts", "lower_bounds", "upper_bounds", "key_metadata", "split_offsets", "equality_ids", "sort_order_id")
	whole = time.perf_counter()
	for i in range(int(commits)):
		file = DataFile.from_args(file_path=f"{like.file_path}.more-{i}", **{member: getattr(like, member) for member in members})
		file.spec_id = like.spec_id
		start = time.perf_counter()
		with table.transaction() as transaction:
			with transaction.update_snapshot().fast_append() as append:
				append.append_data_file(file)
		print(f"{(time.perf_counter() - start) * 1e3:.3f}")
	say((time.perf_counter() - whole) * 1e3, commits)


def pyiceberg_count(folder, name):
	say(*least(1, lambda: sum(1 for _ in open_catalog(folder).load_table(("bench", name)).scan().plan_files())))


# ---- DuckDB ----

def columns_of(connection, metadata):
	"""{name: type}"""
	return {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM iceberg_scan('{metadata}')").fetchall()}


def duckdb_scan(metadata, threads, times, column, low, high):
	import peer
	connection = peer.connect()
	connection.execute(f"SET threads = {threads}")
	connection.execute("SET disabled_optimizers = 'statistics_propagation'")  # else a count of a column is read from footers
	columns = columns_of(connection, metadata)
	if columns[column] == "TIMESTAMP WITH TIME ZONE":
		low, high = instant(low), instant(high)
	counts = ", ".join(f'count("{name}")' for name in columns)
	statement = f"SELECT count(*), {counts} FROM iceberg_scan('{metadata}') WHERE \"{column}\" BETWEEN '{low}' AND '{high}'"
	milliseconds, row = least(times, lambda: connection.execute(statement).fetchone(), time.process_time if threads == "1" else time.perf_counter)
	say(milliseconds, row[0], sum(row[1:]))


def newest(control, namespace, table):
	"""The table's metadata file, as a SQL catalog has it."""
	import sqlite3
	connection = sqlite3.connect(f"file:{control}?mode=ro", uri=True)
	row = connection.execute("SELECT metadata_location FROM iceberg_tables WHERE table_namespace = ? AND table_name = ?", (namespace, table)).fetchone()
	connection.close()
	return row[0].removeprefix("file://")


def duckdb_outside(control, namespace, table, condition):
	import duckdb
	import peer
	connection, found = peer.connect(), 1
	connection.execute("SET threads = 1")
	print("ready", flush=True)
	sys.stdin.readline()
	while found > 0:
		begun = time.monotonic()
		try:
			metadata = newest(control, namespace, table)
			found = connection.execute(f"SELECT count(*) FROM iceberg_scan('{metadata}') WHERE {condition}").fetchone()[0]
		except duckdb.Error:
			continue  # a file of the version went while it was read
		print(begun, time.monotonic(), found, flush=True)


def duckdb_digest(*tables):
	import peer
	connection = peer.connect()
	connection.execute("SET TimeZone = 'UTC'")
	for metadata in tables:
		row = ", ".join(f'"{name}"::VARCHAR' for name in columns_of(connection, metadata))
		print(*connection.execute(f"SELECT count(*), sum(hash({row})::HUGEINT) FROM iceberg_scan('{metadata}')").fetchone())


globals()[sys.argv[1]](*sys.argv[2:])
