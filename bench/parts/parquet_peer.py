"""DuckDB and pyarrow doing what parquet_bench does, on one thread, and the inputs of both.

usage: parquet_peer.py make FOLDER [EVENTS.ndjson]       writes lineitem, wide and, of events, telemetry
       parquet_peer.py duckdb|pyarrow read FILE
       parquet_peer.py duckdb|pyarrow write FILE CODEC
       parquet_peer.py duckdb|pyarrow scan FILE COLUMN LOW HIGH

Prints the least CPU seconds of several runs, rows, bytes, and the peak memory of the process.
"""
import os
import resource
import sys
import time

TIMES = int(os.environ.get("TIMES", "3"))
LINES = int(os.environ.get("LINES", "1000000"))
METRICS = ["heart_rate", "power_watts", "gps_lat", "gps_lon"]

# As TPC-H has them: keys that rise, small numbers, money, flags, dates of seven years, short comments.
LINEITEM = """
    SELECT (i / 4)::BIGINT * 4 + 1 AS l_orderkey, (hash(i) % 200000)::BIGINT AS l_partkey,
        (hash(i + 1) % 10000)::BIGINT AS l_suppkey, (i % 4 + 1)::INTEGER AS l_linenumber,
        (hash(i + 2) % 50 + 1)::DECIMAL(15, 2) AS l_quantity, (hash(i + 3) % 10000000 / 100.0)::DECIMAL(15, 2) AS l_extendedprice,
        (hash(i + 4) % 11 / 100.0)::DECIMAL(15, 2) AS l_discount, (hash(i + 5) % 9 / 100.0)::DECIMAL(15, 2) AS l_tax,
        ['A', 'N', 'R'][1 + (hash(i + 6) % 3)::INTEGER] AS l_returnflag, ['F', 'O'][1 + (hash(i + 7) % 2)::INTEGER] AS l_linestatus,
        DATE '1992-01-01' + (i * 2556 // {lines})::INTEGER AS l_shipdate,
        DATE '1992-01-01' + (hash(i + 9) % 2556)::INTEGER AS l_commitdate,
        DATE '1992-01-01' + (hash(i + 10) % 2556)::INTEGER AS l_receiptdate,
        ['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'][1 + (hash(i + 11) % 4)::INTEGER] AS l_shipinstruct,
        ['AIR', 'RAIL', 'SHIP', 'TRUCK', 'MAIL', 'FOB', 'REG AIR'][1 + (hash(i + 12) % 7)::INTEGER] AS l_shipmode,
        ['carefully ', 'quickly ', 'furiously '][1 + (hash(i + 13) % 3)::INTEGER] || ['final ', 'bold ', 'regular ', 'ironic '][1 +
            (hash(i + 14) % 4)::INTEGER] || 'deposits ' || (hash(i + 15) % 100000) AS l_comment
    FROM range({lines}) t(i)"""
WIDE = """
    SELECT i AS id, md5(i::VARCHAR) || md5((i + 1)::VARCHAR) AS token, 'https://shop.example/' || (hash(i) % 5000) || '/item-' || i AS url,
        repeat(chr((65 + i % 26)::INTEGER), (20 + hash(i) % 60)::INTEGER) || ' word ' || (hash(i) % 1000) AS body,
        ['red', 'green', 'blue', 'black'][1 + (hash(i) % 4)::INTEGER] AS colour, 'user-' || (hash(i * 7) % 20000) AS customer
    FROM range({lines} * 2 // 5) t(i)"""


def telemetry(events):
	metrics = ", ".join(f"TRY_CAST(metrics['{name}'] AS DOUBLE) AS {name}" for name in METRICS)
	return f"""
    SELECT event_id, athlete_id, timestamp, activity, event_context, source, device_type, {metrics}, metrics
    FROM read_json('{events}', format = 'newline_delimited', ignore_errors = true, columns = {{event_id: 'UUID',
        athlete_id: 'VARCHAR', timestamp: 'TIMESTAMPTZ', activity: 'VARCHAR', event_context: 'VARCHAR', source: 'VARCHAR',
        device_type: 'VARCHAR', metrics: 'MAP(VARCHAR, VARCHAR)'}})
    WHERE event_id IS NOT NULL AND timestamp IS NOT NULL"""


def database():
	import duckdb
	connection = duckdb.connect()
	connection.execute("SET threads = 1")
	connection.execute("SET disabled_optimizers = 'statistics_propagation'")  # else a count of a column is read from the footer
	return connection


def make(folder, events=None):
	connection = database()
	inputs = {"lineitem": LINEITEM.format(lines=LINES), "wide": WIDE.format(lines=LINES)}
	if events is not None:
		inputs["telemetry"] = telemetry(events)
	for name, select in inputs.items():
		connection.execute(f"COPY ({select}) TO '{folder}/{name}.parquet' (FORMAT parquet, COMPRESSION snappy)")


def least(call):
	"""Runs it several times; (CPU seconds of the fastest, its result)."""
	best = None
	for _ in range(TIMES):
		start = time.process_time()
		result = call()
		took = time.process_time() - start
		best = min(best, took) if best is not None else took
	return best, result


def duckdb_read(path):
	connection = database()
	names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()]
	counts = ", ".join(f'count("{name}")' for name in names)  # decodes each column and keeps nothing
	seconds, row = least(lambda: connection.execute(f"SELECT count(*), {counts} FROM read_parquet('{path}')").fetchone())
	return seconds, row[0], os.path.getsize(path)


def duckdb_write(path, codec):
	connection = database()
	connection.execute(f"CREATE TABLE input AS SELECT * FROM read_parquet('{path}')")
	out = path + ".duckdb"
	level = ", COMPRESSION_LEVEL 1" if codec == "zstd" else ""
	seconds, row = least(lambda: connection.execute(
		f"COPY input TO '{out}' (FORMAT parquet, COMPRESSION {codec}{level})").fetchone())
	size = os.path.getsize(out)
	os.remove(out)
	return seconds, row[0], size


def duckdb_scan(path, column, low, high):
	connection = database()
	names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()]
	counts = ", ".join(f'count("{name}")' for name in names)
	statement = f"SELECT count(*), {counts} FROM read_parquet('{path}') WHERE \"{column}\" BETWEEN {low} AND {high}"
	seconds, row = least(lambda: connection.execute(statement).fetchone())
	return seconds, row[0], os.path.getsize(path)


def pyarrow_read(path):
	import pyarrow.parquet as pq
	with open(path, "rb") as file:
		data = file.read()
	import pyarrow as pa
	seconds, table = least(lambda: pq.read_table(pa.BufferReader(data), use_threads=False))
	return seconds, table.num_rows, len(data)


def pyarrow_write(path, codec):
	import pyarrow as pa
	import pyarrow.parquet as pq
	table = pq.read_table(path, use_threads=False)

	def write():
		out = pa.BufferOutputStream()
		pq.write_table(table, out, compression=codec, compression_level=1 if codec == "zstd" else None,
			row_group_size=122880, write_page_index=True)
		return out.getvalue().size

	seconds, size = least(write)
	return seconds, table.num_rows, size


def pyarrow_scan(path, column, low, high):
	import pyarrow.parquet as pq
	import pyarrow.compute as pc
	filters = (pc.field(column) >= int(low)) & (pc.field(column) <= int(high))
	seconds, table = least(lambda: pq.read_table(path, use_threads=False, filters=filters))
	return seconds, table.num_rows, os.path.getsize(path)


def main():
	if sys.argv[1] == "make":
		make(*sys.argv[2:])
		return
	os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
	seconds, rows, size = globals()[f"{sys.argv[1]}_{sys.argv[2]}"](*sys.argv[3:])
	print(f"{seconds:.6f} {rows} {size} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}")


main()
