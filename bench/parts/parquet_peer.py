"""DuckDB and pyarrow doing what parquet_bench does, and the inputs of both.

usage: parquet_peer.py make FOLDER TELEMETRY.ndjson VISITS.ndjson       writes telemetry, commerce, lineitem and wide
       parquet_peer.py duckdb|pyarrow read THREADS TIMES FILE
       parquet_peer.py duckdb|pyarrow write THREADS TIMES FILE CODEC
       parquet_peer.py duckdb|pyarrow scan THREADS TIMES FILE COLUMN LOW HIGH

Prints the least seconds of TIMES (of CPU with one thread, else by the clock), rows, bytes, and the peak memory of the process.
"""
import os
import sys
import time

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


COMMERCE = """
    SELECT visit_id, customer_id, visited_at, page, amount, items, is_return, birthday, trace_id
    FROM read_json('{visits}', format = 'newline_delimited', ignore_errors = true, columns = {{visit_id: 'UUID', customer_id: 'VARCHAR',
        visited_at: 'TIMESTAMPTZ', page: 'VARCHAR', amount: 'DOUBLE', items: 'INTEGER', is_return: 'BOOLEAN', birthday: 'DATE', trace_id: 'VARCHAR'}})
    WHERE visit_id IS NOT NULL AND visited_at IS NOT NULL"""


def database(threads=1):
	import duckdb
	connection = duckdb.connect()
	connection.execute(f"SET threads = {threads}")
	connection.execute("SET disabled_optimizers = 'statistics_propagation'")  # else a count of a column is read from the footer
	return connection


def make(folder, events, visits):
	connection = database()
	inputs = {"lineitem": LINEITEM.format(lines=LINES), "wide": WIDE.format(lines=LINES), "telemetry": telemetry(events),
		"commerce": COMMERCE.format(visits=visits)}
	for name, select in inputs.items():
		connection.execute(f"COPY ({select}) TO '{folder}/{name}.parquet' (FORMAT parquet, COMPRESSION snappy)")


def peak_memory():
	with open("/proc/self/status") as file:
		return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM"))


def least(threads, times, call):
	"""Runs it several times; (seconds of the fastest, its result)."""
	clock = time.process_time if threads == 1 else time.perf_counter
	best = None
	for _ in range(times):
		start = clock()
		result = call()
		took = clock() - start
		best = min(best, took) if best is not None else took
	return best, result


def duckdb_read(threads, times, path):
	connection = database(threads)
	names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()]
	counts = ", ".join(f'count("{name}")' for name in names)  # decodes each column and keeps nothing
	seconds, row = least(threads, times, lambda: connection.execute(f"SELECT count(*), {counts} FROM read_parquet('{path}')").fetchone())
	return seconds, row[0], os.path.getsize(path)


def duckdb_write(threads, times, path, codec):
	connection = database(threads)
	connection.execute(f"CREATE TABLE input AS SELECT * FROM read_parquet('{path}')")
	out = path + ".duckdb"
	level = ", COMPRESSION_LEVEL 1" if codec == "zstd" else ""
	seconds, row = least(threads, times, lambda: connection.execute(
		f"COPY input TO '{out}' (FORMAT parquet, COMPRESSION {codec}{level})").fetchone())
	size = os.path.getsize(out)
	os.remove(out)
	return seconds, row[0], size


def duckdb_scan(threads, times, path, column, low, high):
	connection = database(threads)
	names = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()]
	counts = ", ".join(f'count("{name}")' for name in names)
	statement = f"SELECT count(*), {counts} FROM read_parquet('{path}') WHERE \"{column}\" BETWEEN {low} AND {high}"
	seconds, row = least(threads, times, lambda: connection.execute(statement).fetchone())
	return seconds, row[0], os.path.getsize(path)


def pyarrow_read(threads, times, path):
	import pyarrow as pa
	import pyarrow.parquet as pq
	pa.set_cpu_count(threads)
	with open(path, "rb") as file:
		data = file.read()
	seconds, table = least(threads, times, lambda: pq.read_table(pa.BufferReader(data), use_threads=threads > 1))
	return seconds, table.num_rows, len(data)


def pyarrow_write(threads, times, path, codec):
	import pyarrow as pa
	import pyarrow.parquet as pq
	if threads > 1:
		raise SystemExit("pyarrow writes with one thread")
	table = pq.read_table(path, use_threads=False)

	def write():
		out = pa.BufferOutputStream()
		pq.write_table(table, out, compression=codec, compression_level=1 if codec == "zstd" else None,
			row_group_size=122880, write_page_index=True)
		return out.getvalue().size

	seconds, size = least(threads, times, write)
	return seconds, table.num_rows, size


def pyarrow_scan(threads, times, path, column, low, high):
	import pyarrow.parquet as pq
	import pyarrow.compute as pc
	filters = (pc.field(column) >= int(low)) & (pc.field(column) <= int(high))
	seconds, table = least(threads, times, lambda: pq.read_table(path, use_threads=False, filters=filters))
	return seconds, table.num_rows, os.path.getsize(path)


def main():
	if sys.argv[1] == "make":
		make(*sys.argv[2:])
		return
	peer, what, threads, times, *words = sys.argv[1:]
	seconds, rows, size = globals()[f"{peer}_{what}"](int(threads), int(times), *words)
	print(f"{seconds:.6f} {rows} {size} {peak_memory()}")


main()
