"""Selective scans through Iceberg tables, beside DuckDB's iceberg_scan, with one thread and with two.

Tables that weir wrote, of parquet's inputs: lineitem (32 files, its key rising) and telemetry, compacted in the order of athlete and time.
Read are a thousandth of lineitem by a range of its key; about a thousandth by a range of its part, whose rows lie everywhere; one athlete's
rows; an hour of all athletes; the visits of one customer, and one customer's wide rows, which lie everywhere. Every column of the rows
that match is decoded and its values are counted: both must find as many rows, and as many values. The fastest of TIMES (7) in one
process: the table is opened anew each time, what earlier runs cached stays. One thread is held to one core and charged with its CPU, two
are taken by the clock.
"""
import os

from . import host, parquet, peers, tables

TIMES = os.environ.get("TIMES", "7")
FILES = {"lineitem": 32, "telemetry": 32, "commerce": 16, "wide": 16}


def fill(bench, inputs):
	folder = host.fresh("scan")
	for name, files in FILES.items():
		host.output_of([bench, "fill", folder, name, os.path.join(inputs, name + ".parquet"), str(files)])
	host.output_of([host.WEIR, "compact", "bench.telemetry", "--catalog", folder + "/control.db", "--all", "--sort",
		"athlete_id,timestamp", "--target", "4MiB"])
	return folder


def cases(duckdb, inputs):
	rows = parquet.ROWS
	telemetry = os.path.join(inputs, "telemetry.parquet")
	athlete = host.output_of(duckdb + ["-c", f"import duckdb; print(duckdb.execute(\"SELECT median(athlete_id::VARCHAR) FROM (SELECT"
		f" quantile_disc(athlete_id, 0.5) AS athlete_id FROM '{telemetry}')\").fetchone()[0])"]).strip()
	middle = int(host.output_of(duckdb + ["-c", "import duckdb; print(duckdb.execute(\"SELECT epoch_us(quantile_disc(timestamp, 0.5))"
		f" FROM '{telemetry}'\").fetchone()[0])"]))
	return [
		("lineitem_key", "lineitem", "l_orderkey", rows // 2, rows // 2 + rows // 1000),
		("lineitem_part", "lineitem", "l_partkey", 1000, 1200),
		("telemetry_athlete", "telemetry", "athlete_id", athlete, athlete),
		("telemetry_hour", "telemetry", "timestamp", middle, middle + 3600 * 10**6),
		("commerce_customer", "commerce", "customer_id", "customer-02500", "customer-02500"),
		("wide_customer", "wide", "customer", "user-10000", "user-10000"),
	]


def run(results):
	bench = tables.program("iceberg")
	duckdb = peers.duckdb(results)
	if duckdb is None:
		return
	inputs = parquet.make_inputs(duckdb)
	folder = fill(bench, inputs)
	for name, table, column, low, high in cases(duckdb, inputs):
		metadata = tables.uri(bench, folder, table)
		for threads in (1, 2):
			words = [str(threads), TIMES, column, str(low), str(high)]
			ours = tables.measured([bench, "scan", folder, table] + words, cores=threads)
			theirs = tables.measured(duckdb + [os.path.join(peers.HERE, "iceberg_peer.py"), "duckdb_scan", metadata] + words, cores=threads)
			if ours[1:3] != theirs[1:3] or ours[1] == 0:
				raise host.Failed(f"scan_{name}: {ours[1]} rows with {ours[2]} values, and {theirs[1]} with {theirs[2]} of DuckDB")
			results.add(f"scan_{name}.ms_{threads}", ours[0], f"ms, {threads} thread{'s'[:threads - 1]}, {ours[1]} rows", "DuckDB", theirs[0])
			results.add(f"scan_{name}.memory_{threads}", ours[3] / 2**20, "MiB", "DuckDB", theirs[3] / 2**20)
