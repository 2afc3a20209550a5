"""Spark and Trino judge weir's Iceberg tables: Iceberg's own Java code reads what ice_tool makes, and weir what Spark writes.

Usage: python tests/interop/jvm_peers.py spark|trino PATH_OF_ice_tool
They are started and stopped here, from tests/peers; both open the catalog file as a JDBC catalog.
"""
import csv
import io
import json
import os
import socket
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TABLES = ("athlete_data", "erased")


def run(command):
	done = subprocess.run(command, capture_output=True, text=True)
	if done.returncode != 0:
		sys.exit("FAILED %s: %s %s" % (" ".join(command)[:200], done.stdout[-600:], done.stderr[-600:]))
	return done.stdout


def dump(tool, folder, namespace, table):
	return [json.loads(line) for line in run([tool, "dump", folder, namespace, table]).splitlines()]


def compare(what, found, expected):
	if found != expected:
		sys.exit("FAILED %s: found %s, expected %s" % (what, found, expected))
	print("ok  %s: %s" % (what, found))


def facts(rows):
	"""What is compared of a table: how many rows, by purpose, how many distinct subjects, and sums that every row enters."""
	purposes = sorted({row["purpose"] for row in rows})
	return {
		"rows": len(rows),
		"subjects": len({row["subject"] for row in rows}),
		"instants": sum(row["timestamp"] for row in rows),
		"without_activity": sum(row["activity"] is None for row in rows),
		"by_purpose": [[purpose, sum(row["purpose"] == purpose for row in rows)] for purpose in purposes],
	}


def check(ask, micros, tool, folder):
	"""ask(sql) -> rows of values; micros: an instant in microseconds, in the engine's SQL."""
	for name in TABLES:
		expected = facts(dump(tool, folder, "gold", name))
		total = ask("SELECT count(*), count(DISTINCT subject), sum(%s), count(*) - count(activity) FROM gold.%s" % (micros, name))[0]
		grouped = ask("SELECT purpose, count(*) FROM gold.%s GROUP BY purpose ORDER BY purpose" % name)
		found = dict(zip(("rows", "subjects", "instants", "without_activity"), (int(value) for value in total)))
		found["by_purpose"] = [[purpose, int(count)] for purpose, count in grouped]
		compare("gold.%s" % name, found, expected)
		subject = "athlete-007-with-a-long-tail"
		rows = [row for row in dump(tool, folder, "gold", name) if row["subject"] == subject and row["purpose"] == "research"]
		found = ask("SELECT count(*) FROM gold.%s WHERE subject = '%s' AND purpose = 'research'" % (name, subject))
		compare("gold.%s filtered by subject and purpose" % name, int(found[0][0]), len(rows))


def with_spark(tool, folder):
	spark = os.path.join(HERE, "..", "peers", "spark", "spark")

	def ask(sql):
		return [list(row.values()) for row in json.loads(run([spark, "sql", sql]))["rows"]]

	run([spark, "start", folder + "/control.db", folder + "/warehouse"])
	try:
		check(ask, "unix_micros(timestamp)", tool, folder)
		specs = ask("SELECT DISTINCT spec_id FROM gold.athlete_data.files ORDER BY spec_id")
		compare("files of both partition specs", [row[0] for row in specs], [0, 1])
		ask("CREATE NAMESPACE IF NOT EXISTS other")
		ask("CREATE TABLE other.written (id BIGINT, name STRING, price DECIMAL(9,2)) USING iceberg PARTITIONED BY (bucket(3, id))"
			" TBLPROPERTIES ('format-version' = '2')")
		ask("INSERT INTO other.written SELECT id, concat('n', id % 7), CAST(id / 100 AS DECIMAL(9,2)) FROM range(500)")
		ask("DELETE FROM other.written WHERE id % 10 = 3")
		rows = dump(tool, folder, "other", "written")
		compare("weir reads what spark wrote", [len(rows), sum(row["id"] for row in rows)],
			[450, sum(i for i in range(500) if i % 10 != 3)])
	finally:
		subprocess.run([spark, "stop"], capture_output=True)


def with_trino(tool, folder):
	trino = os.path.join(HERE, "..", "peers", "trino", "trino")
	with socket.socket() as free:
		free.bind(("127.0.0.1", 0))
		os.environ["PORT"] = str(free.getsockname()[1])

	def ask(sql):
		return list(csv.reader(io.StringIO(run([trino, "sql", sql.replace("gold.", "weir.gold.")]))))

	run([trino, "start", "weir:iceberg.catalog.type=jdbc,iceberg.jdbc-catalog.catalog-name=weir,"
		"iceberg.jdbc-catalog.driver-class=org.sqlite.JDBC,iceberg.jdbc-catalog.connection-url=jdbc:sqlite:file:%s/control.db,"
		"iceberg.jdbc-catalog.default-warehouse-dir=file://%s/warehouse" % (folder, folder)])
	try:
		check(ask, "CAST(to_unixtime(timestamp) * 1000000 AS DECIMAL(38, 0))", tool, folder)
	finally:
		subprocess.run([trino, "stop"], capture_output=True)


def main():
	engine, tool = sys.argv[1], os.path.abspath(sys.argv[2])
	print("peer  " + {"spark": "Spark 4.1.4, Iceberg Java 1.12.0", "trino": "Trino 483"}[engine])
	with tempfile.TemporaryDirectory() as folder:
		run([tool, "make", folder])
		{"spark": with_spark, "trino": with_trino}[engine](tool, folder)


if __name__ == "__main__":
	main()
