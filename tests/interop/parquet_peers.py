"""Other engines judge weir's Parquet: they read what pq_tool writes, and pq_tool reads what they write.

Usage: python tests/interop/parquet_peers.py PATH_OF_pq_tool
Runs with whatever of duckdb and pyarrow the interpreter has; at least one is needed.
"""
import datetime
import decimal
import json
import math
import os
import subprocess
import sys
import tempfile
import uuid

EPOCH = datetime.datetime(1970, 1, 1)
ROWS = 5777
CODECS = {"none": 0, "snappy": 1, "gzip": 2, "brotli": 3, "zstd": 4, "lz4_raw": 5}
COLUMNS = ("id flag small f d dec9 dec18 dec38 day t ts tz name text uuid fx bin m l s").split()


def expected(i):
	"""Row i of `pq_tool write-sample`, in the terms of `pq_tool dump`."""
	big = i * 1000000000000 * 1000003 - 5
	row = {
		"id": i,
		"flag": i % 3 == 0,
		"small": i % 100 - 50,
		"f": "nan" if i % 11 == 0 else i / 4,
		"d": i * 0.1,
		"dec9": str(i - 2500),
		"dec18": str(i * 1000000007 - 77),
		"dec38": str(-big if i % 2 else big),
		"day": 19000 + i % 400 - 30000 * (i % 7 == 0),
		"t": i * 17000001 % 86400000000,
		"ts": 1700000000000000 + i * 1000003,
		"tz": 1700000000000000 - i * 997,
		"name": "n\u00e4me-%d" % (i % 17),
		"text": "a longer text that hardly repeats %d" % i,
		"uuid": bytes((i * (b + 3)) & 255 for b in range(16)).hex(),
		"fx": ("%05d" % (i % 1000)).encode().hex(),
		"bin": (b"\xff\x01" + str(i % 300).encode()).hex(),
		"m": [["k%d" % k, None if (i + k) % 5 == 0 else "v%d" % (i + k)] for k in range(i % 3)],
		"l": [None if (i + k) % 6 == 0 else i * 10 + k for k in range(i % 4)],
		"s": {"x": i / 8, "label": None if i % 4 == 0 else "label %d" % (i % 9)},
	}
	for c, name in enumerate(COLUMNS):
		if c and (i + c) % 13 == 0:
			row[name] = None
	return row


SCALES = {"dec9": 2, "dec18": 3, "dec38": 10}


def plain(name, value):
	"""A value of a peer in the terms of `pq_tool dump`."""
	if value is None:
		return None
	if name in SCALES and not isinstance(value, str):
		with decimal.localcontext() as context:
			context.prec = 60
			return str(int(value.scaleb(SCALES[name])))
	if isinstance(value, float) and math.isnan(value):
		return "nan"
	if isinstance(value, datetime.datetime):
		value = value.replace(tzinfo=None) - EPOCH if value.tzinfo is None else value.astimezone(
			datetime.timezone.utc).replace(tzinfo=None) - EPOCH
		return value // datetime.timedelta(microseconds=1)
	if isinstance(value, datetime.date):
		return (value - EPOCH.date()).days
	if isinstance(value, datetime.time):
		return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000000 + value.microsecond
	if isinstance(value, uuid.UUID):
		return value.hex
	if isinstance(value, (bytes, bytearray)):
		return bytes(value).hex()
	if name == "m":
		return [list(pair) for pair in (value.items() if isinstance(value, dict) else value)]
	return value


def compare(where, rows):
	count = 0
	for i, row in enumerate(rows):
		want = expected(i)
		got = {name: plain(name, row[name]) for name in COLUMNS}
		if got != want:
			wrong = [name for name in COLUMNS if got[name] != want[name]]
			raise SystemExit("%s: row %d: %s" % (where, i, [(n, want[n], got[n]) for n in wrong]))
		count += 1
	if count != ROWS:
		raise SystemExit("%s: %d rows, %d expected" % (where, count, ROWS))
	print("ok  %s" % where)


def dump(tool, path):
	out = subprocess.run([tool, "dump", path], stdout=subprocess.PIPE, check=True).stdout
	return [json.loads(line) for line in out.decode("utf-8").splitlines()]


def compare_dump(where, tool, path):
	rows = dump(tool, path)
	compare(where, rows)


def with_pyarrow(tool, folder):
	import pyarrow as pa
	import pyarrow.compute as pc
	import pyarrow.parquet as pq
	table = None
	for name, number in CODECS.items():
		path = os.path.join(folder, "weir-%s.parquet" % name)
		subprocess.run([tool, "write-sample", path, str(number)], check=True)
		file = pq.ParquetFile(path)
		table = file.read()
		compare("pyarrow %s reads weir's %s" % (pa.__version__, name), table.to_pylist())
		check_statistics(file, table, pc)
	for filters in ([("name", "=", "n\u00e4me-3")], [("id", ">", 4000)], [("day", "<", datetime.date(1990, 1, 1))]):
		got = pq.read_table(path, filters=filters).num_rows
		column, op, literal = filters[0]
		ops = {"=": pc.equal, ">": pc.greater, "<": pc.less}
		want = table.filter(ops[op](table[column], pa.scalar(literal, table[column].type))).num_rows
		if got != want:
			raise SystemExit("pyarrow: filter %s finds %d rows, not %d" % (filters, got, want))
	variants = [
		dict(compression="snappy"), dict(compression="none", use_dictionary=False),
		dict(compression="zstd", data_page_version="2.0"), dict(compression="gzip", data_page_size=2000),
		dict(compression="brotli", row_group_size=1000, write_page_index=True),
		dict(compression="lz4", store_schema=False, write_page_checksum=True),
		dict(use_dictionary=False, column_encoding={
			"id": "DELTA_BINARY_PACKED", "small": "DELTA_BINARY_PACKED", "ts": "DELTA_BINARY_PACKED",
			"name": "DELTA_BYTE_ARRAY", "text": "DELTA_LENGTH_BYTE_ARRAY", "d": "BYTE_STREAM_SPLIT",
			"f": "BYTE_STREAM_SPLIT", "fx": "DELTA_BYTE_ARRAY", "flag": "RLE"}),
		dict(use_dictionary=False, data_page_version="2.0", data_page_size=5000, column_encoding={
			"id": "BYTE_STREAM_SPLIT", "text": "DELTA_BYTE_ARRAY", "bin": "DELTA_LENGTH_BYTE_ARRAY",
			"fx": "BYTE_STREAM_SPLIT"}),
	]
	for i, options in enumerate(variants):
		path = os.path.join(folder, "pyarrow-%d.parquet" % i)
		pq.write_table(table, path, **options)
		compare_dump("weir reads pyarrow's %s" % options, tool, path)


def check_statistics(file, table, pc):
	at = 0
	for g in range(file.metadata.num_row_groups):
		group = file.metadata.row_group(g)
		part = table.slice(at, group.num_rows)
		at += group.num_rows
		for c in range(group.num_columns):
			meta = group.column(c)
			stats = meta.statistics
			if "." in meta.path_in_schema or meta.path_in_schema in ("dec38", "uuid", "fx"):
				continue
			column = part[meta.path_in_schema]
			if stats.null_count != column.null_count:
				raise SystemExit("null count of %s" % meta.path_in_schema)
			if meta.path_in_schema == "f":
				column = column.filter(pc.invert(pc.is_nan(column)))
			extremes = pc.min_max(column).as_py() if meta.path_in_schema != "bin" else {
				"min": min(v for v in column.to_pylist() if v is not None),
				"max": max(v for v in column.to_pylist() if v is not None)}
			if (stats.min, stats.max) != (extremes["min"], extremes["max"]):
				raise SystemExit("statistics of %s in row group %d: %r, not %r" % (
					meta.path_in_schema, g, (stats.min, stats.max), extremes))


def with_duckdb(tool, folder):
	import duckdb
	con = duckdb.connect()
	con.sql("set TimeZone='UTC'")
	shown = ", ".join("tz at time zone 'UTC' as tz" if n == "tz" else n for n in COLUMNS)
	for name, number in CODECS.items():
		path = os.path.join(folder, "weir-%s.parquet" % name)
		subprocess.run([tool, "write-sample", path, str(number)], check=True)
		rows = con.execute("select %s from read_parquet('%s') order by id" % (shown, path)).fetchall()
		compare("duckdb %s reads weir's %s" % (duckdb.__version__, name),
			[dict(zip(COLUMNS, row)) for row in rows])
	con.sql("create table sample as select * from read_parquet('%s')" % path)
	for where in ("name = 'n\u00e4me-3'", "id = 4321", "id > 4000", "day < date '1990-01-01'", "dec38 < 0", "f > 100",
			"uuid = '030405060708090a0b0c0d0e0f101112'", "text = 'none'", "m is null", "d between 20 and 21"):
		got = con.execute("select count(*) from read_parquet('%s') where %s" % (path, where)).fetchone()
		want = con.execute("select count(*) from sample where %s" % where).fetchone()
		if got != want:
			raise SystemExit("duckdb: where %s finds %s rows, not %s" % (where, got, want))
	probe = con.execute("select bloom_filter_excludes from parquet_bloom_probe('%s', 'name', 'nobody')" % path).fetchall()
	if probe != [(True,)] * 3:
		raise SystemExit("duckdb: the bloom filters of name do not exclude: %s" % probe)
	probe = con.execute("select bloom_filter_excludes from parquet_bloom_probe('%s', 'id', 5700)" % path).fetchall()
	if (False,) not in probe:
		raise SystemExit("duckdb: the bloom filters of id exclude a value that is there: %s" % probe)
	print("ok  duckdb filters and bloom filters")
	columns = ", ".join("fx::blob as fx" if n == "fx" else n for n in COLUMNS)
	for i, options in enumerate(("compression zstd", "compression snappy, row_group_size 2048", "compression gzip",
			"compression uncompressed", "compression lz4_raw", "compression brotli, parquet_version v2",
			"compression zstd, parquet_version v2")):
		path = os.path.join(folder, "duckdb-%d.parquet" % i)
		con.sql("copy (select %s from sample order by id) to '%s' (format parquet, %s)" % (columns, path, options))
		compare_dump("weir reads duckdb's %s" % options, tool, path)


def main():
	tool = os.path.abspath(sys.argv[1])
	ran = 0
	with tempfile.TemporaryDirectory() as folder:
		path = os.path.join(folder, "own.parquet")
		subprocess.run([tool, "write-sample", path], check=True)
		compare_dump("weir reads weir's", tool, path)
		for module, test in (("duckdb", with_duckdb), ("pyarrow", with_pyarrow)):
			try:
				__import__(module)
			except ImportError:
				print("--  %s is not installed for %s" % (module, sys.executable))
				continue
			print("peer  %s %s" % (module, sys.modules[module].__version__))
			test(tool, folder)
			ran += 1
	sys.exit(0 if ran else "neither duckdb nor pyarrow is installed; nothing was compared")


if __name__ == "__main__":
	main()
