"""The engines that read a lake's tables, each behind the same few methods; what an engine lacks raises NotImplementedError with its own words.

An engine gives rows in the terms of lake.py (plain values) for a table name such as gold.athlete_data.
"""
import datetime
import json
import os
import socket
import subprocess
import urllib.error
import urllib.request

from lake import EPOCH, ROOT, plain

CATALOG = "weir"


def start(script, *arguments, **environment):
	"""Starts a peer; what its script prints says where it listens. Its own words where it does not start."""
	done = subprocess.run([script, "start", *arguments], capture_output=True, text=True, env={**os.environ, **environment})
	if done.returncode != 0:
		raise RuntimeError("%s: %s" % (os.path.basename(script), done.stderr.strip()[-1500:]))
	return done.stdout.strip()


def free_port():
	with socket.socket() as found:
		found.bind(("127.0.0.1", 0))
		return str(found.getsockname()[1])


def local(path):
	"""A file's path without its scheme: engines write file:///x, file:/x or /x."""
	path = path[len("file:"):] if path.startswith("file:") else path
	return "/" + path.lstrip("/")


class Engine:
	"""What the engines that speak SQL share: each says how it runs a statement and how it writes names and literals."""
	quote = '"'
	columns_of_types = {}   # weir's type -> how a column of it is read
	sql = True

	def __init__(self, lake):
		self.lake = lake

	def stop(self):
		pass

	def name(self, column):
		return self.quote + column + self.quote

	def time(self, text):
		return "TIMESTAMP '%s UTC'" % text

	def uuid(self, text):
		return "'%s'" % text

	def entry(self, column, key):
		"""A map's value, null where it has no such key."""
		return "element_at(%s, '%s')" % (column, key)

	def table(self, name):
		return CATALOG + "." + name

	def rows(self, table, condition=None):
		kinds = self.lake.types(table)
		columns = ", ".join(self.columns_of_types.get(kind, "{0}").format(self.name(name)) + " AS " + self.name(name)
			for name, kind in kinds.items())
		found = self.run("SELECT %s FROM %s WHERE %s" % (columns, self.table(table), condition(self) if condition else "1 = 1"))
		return [{name: plain(row[name], kinds[name]) for name in row} for row in found]

	def one(self, statement):
		return next(iter(self.run(statement)[0].values()))

	def count_at(self, table, snapshot):
		return self.one("SELECT count(*) FROM %s FOR VERSION AS OF %s" % (self.table(table), snapshot["snapshot_id"]))

	def append(self, table):
		self.run("INSERT INTO {0} SELECT * FROM {0} LIMIT 2".format(self.table(table)))

	def delete(self, table):
		self.run("DELETE FROM %s WHERE activity = 'running'" % self.table(table))

	def drop(self, table):
		self.run("DROP TABLE %s" % self.table(table))

	def own_rows(self):
		return sorted((row["id"], row["name"], row["score"]) for row in
			self.run("SELECT id, name, score FROM %s.theirs.things" % CATALOG))

	def own_rows_at(self, path):
		raise NotImplementedError("reads by the catalog")


class Duckdb(Engine):
	"""Reads by the location of the metadata: of catalogs it knows REST alone."""
	columns_of_types = {"TIMESTAMP WITH TIME ZONE": "epoch_us({0})", "BLOB": "base64({0})"}

	def __init__(self, lake):
		super().__init__(lake)
		import duckdb
		import peer  # a connection with the extension loaded from installed packages
		self.version = "DuckDB " + duckdb.__version__
		self.connection = peer.connect()
		self.connection.execute("set timezone = 'UTC'")

	def run(self, statement):
		result = self.connection.execute(statement)
		names = [column[0] for column in result.description]
		return [dict(zip(names, row)) for row in result.fetchall()]

	def time(self, text):
		return "TIMESTAMPTZ '%s+00'" % text

	def entry(self, column, key):
		return "%s['%s']" % (column, key)

	def location(self, name):
		return local(self.lake.locations()[name])

	def table(self, name):
		return "iceberg_scan('%s')" % self.location(name)

	def tables(self):
		try:
			self.run("ATTACH '%s' AS control (TYPE iceberg, AUTHORIZATION_TYPE 'none')" % self.lake.catalog)
		except Exception as error:
			raise NotImplementedError(str(error).split("\n")[0]) from error
		return [".".join(row.values()) for row in self.run("SELECT table_schema, table_name FROM information_schema.tables")]

	def files(self, table):
		found = self.run("SELECT file_path, record_count FROM iceberg_metadata('%s') WHERE status <> 'DELETED'" % self.location(table))
		return {local(row["file_path"]): row["record_count"] for row in found}

	def rows_by_spec(self, table):
		specs = {local(file["path"]): file["spec_id"] for file in self.lake.files(table)}
		counts = {}
		for row in self.run("SELECT filename AS path, count(*) AS n FROM %s GROUP BY filename" % self.table(table)):
			spec = specs.get(local(row["path"]))  # none: compacted meanwhile
			counts[spec] = counts.get(spec, 0) + row["n"]
		return counts

	def snapshots(self, table):
		return {row["snapshot_id"] for row in self.run("SELECT snapshot_id FROM iceberg_snapshots('%s')" % self.location(table))}

	def count_at(self, table, snapshot):
		return self.one("SELECT count(*) FROM iceberg_scan('%s', snapshot_from_id = %s::UBIGINT)"
			% (self.location(table), snapshot["snapshot_id"]))

	def partitions(self, table):
		self.connection.execute("SELECT * FROM iceberg_partitions('%s')" % self.location(table))

	def refuse(self):
		try:
			self.run("INSERT INTO %s SELECT 1" % self.table("gold.athlete_data"))
		except Exception as error:
			raise NotImplementedError("it writes through a REST catalog only: " + str(error).split("\n")[0]) from error

	append = delete = drop = lambda self, table: self.refuse()

	def own_table(self):
		try:
			self.run("CREATE TABLE weir.theirs.things(id BIGINT)")
		except Exception as error:
			raise NotImplementedError(str(error).split("\n")[0]) from error


class Pyiceberg(Engine):
	sql = False

	def __init__(self, lake):
		super().__init__(lake)
		import pyiceberg
		self.version = "PyIceberg " + pyiceberg.__version__
		self.catalog = self.open()

	def open(self):
		from pyiceberg.catalog.sql import SqlCatalog
		return SqlCatalog(CATALOG, uri="sqlite:///" + self.lake.catalog, warehouse="file://" + self.lake.warehouse)

	def name(self, column):
		return column

	def time(self, text):
		return "'%s+00:00'" % text.replace(" ", "T")

	def entry(self, column, key):
		return "%s.%s" % (column, key)

	def tables(self):
		return [".".join(name) for space in self.catalog.list_namespaces() for name in self.catalog.list_tables(space)]

	def load(self, name):
		return self.catalog.load_table(name)

	def rows(self, table, condition=None):
		from pyiceberg.expressions import AlwaysTrue
		kinds = self.lake.types(table)
		text = condition(self) if condition else AlwaysTrue()
		try:
			found = self.load(table).scan(row_filter=text).to_arrow()
		except ValueError as error:
			if condition and "Could not find field" in str(error):
				raise NotImplementedError(str(error).split("\n")[0]) from error
			raise
		return [{name: plain(value, kinds[name]) for name, value in row.items()} for row in found.to_pylist()]

	def files(self, table):
		return {local(task.file.file_path): task.file.record_count for task in self.load(table).scan().plan_files()}

	def rows_by_spec(self, table):
		counts = {}
		for task in self.load(table).scan().plan_files():
			counts[task.file.spec_id] = counts.get(task.file.spec_id, 0) + task.file.record_count
		return counts

	def snapshots(self, table):
		return {snapshot.snapshot_id for snapshot in self.load(table).snapshots()}

	def count_at(self, table, snapshot):
		return self.load(table).scan(snapshot_id=int(snapshot["snapshot_id"])).to_arrow().num_rows

	def partitions(self, table):
		found = self.load(table).inspect.partitions().to_pylist()
		return sum(row["record_count"] for row in found), sum(row["file_count"] for row in found)

	def append(self, table):
		loaded = self.load(table)
		loaded.append(loaded.scan(limit=2).to_arrow())

	def delete(self, table):
		self.load(table).delete("activity == 'running'")

	def drop(self, table):
		self.catalog.drop_table(table)

	def own_table(self):
		import pyarrow as pa
		from pyiceberg.partitioning import PartitionField, PartitionSpec
		from pyiceberg.schema import Schema
		from pyiceberg.transforms import IdentityTransform
		from pyiceberg.types import DoubleType, LongType, NestedField, StringType
		self.catalog.create_namespace("theirs")
		schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "name", StringType()), NestedField(3, "score", DoubleType()))
		table = self.catalog.create_table("theirs.things", schema,
			partition_spec=PartitionSpec(PartitionField(2, 1000, IdentityTransform(), "name")))
		arrow = table.schema().as_arrow()
		table.append(pa.Table.from_pylist([{"id": i, "name": "ab"[i % 2], "score": i / 8} for i in range(100)], schema=arrow))
		table.append(pa.Table.from_pylist([{"id": 100, "name": None, "score": None}], schema=arrow))
		table.delete("id < 10")

	def own_rows(self):
		found = self.load("theirs.things").scan().to_arrow().to_pylist()
		return sorted((row["id"], row["name"], row["score"]) for row in found)


class Spark(Engine):
	quote = "`"
	columns_of_types = {"TIMESTAMP WITH TIME ZONE": "unix_micros({0})", "BLOB": "base64({0})"}
	script = os.path.join(ROOT, "tests", "peers", "spark", "spark")

	def __init__(self, lake):
		super().__init__(lake)
		# Without the setting Spark keeps a loaded table for 30 s: right, but not the newest.
		path = start(self.script, *self.settings(), "spark.sql.catalog.weir.cache-enabled=false")
		self.socket = socket.socket(socket.AF_UNIX)
		self.socket.connect(path)
		self.stream = self.socket.makefile("rwb")
		self.version = "Spark %s, Iceberg Java 1.12.0" % self.one("SELECT version()").split()[0]

	def settings(self):
		"""What its script is started with."""
		return [self.lake.catalog, self.lake.warehouse]

	def stop(self):
		self.socket.close()
		subprocess.run([self.script, "stop"], check=True)

	def run(self, statement):
		self.stream.write((" ".join(statement.split()) + "\n").encode())
		self.stream.flush()
		answer = json.loads(self.stream.readline())
		if not answer["ok"]:
			raise RuntimeError(answer["error"])
		return answer["rows"]

	def tables(self):
		return ["%s.%s" % (space["namespace"], row["tableName"]) for space in self.run("SHOW NAMESPACES IN weir")
			for row in self.run("SHOW TABLES IN weir.%s" % space["namespace"])]

	def files(self, table):
		return {local(row["file_path"]): row["record_count"] for row in
			self.run("SELECT file_path, record_count FROM %s.files" % self.table(table))}

	def rows_by_spec(self, table):
		return {row["_spec_id"]: row["n"] for row in
			self.run("SELECT _spec_id, count(*) AS n FROM %s GROUP BY _spec_id" % self.table(table))}

	def snapshots(self, table):
		return {row["snapshot_id"] for row in self.run("SELECT snapshot_id FROM %s.snapshots" % self.table(table))}

	def count_at(self, table, snapshot):
		return self.one("SELECT count(*) FROM %s VERSION AS OF %s" % (self.table(table), snapshot["snapshot_id"]))

	def partitions(self, table):
		row = self.run("SELECT sum(record_count) AS n, sum(file_count) AS files FROM %s.partitions" % self.table(table))[0]
		return row["n"], row["files"]

	def rows_by_text(self, table, column, text):
		"""The rows of one UUID by a comparison that stays in Spark and is not handed down to Iceberg."""
		return self.rows(table, lambda e: "trim(%s) = '%s'" % (column, text))

	def own_table(self):
		self.run("CREATE NAMESPACE weir.theirs")
		self.run("CREATE TABLE weir.theirs.things(id BIGINT, name STRING, score DOUBLE) USING iceberg PARTITIONED BY (name)")
		self.run("INSERT INTO weir.theirs.things SELECT id, if(id % 2 = 0, 'a', 'b'), id / 8D FROM range(100)")
		self.run("INSERT INTO weir.theirs.things VALUES (100, NULL, NULL)")
		self.run("DELETE FROM weir.theirs.things WHERE id < 10")


class Trino(Engine):
	script = os.path.join(ROOT, "tests", "peers", "trino", "trino")

	def __init__(self, lake):
		super().__init__(lake)
		self.url = start(self.script, CATALOG + ":" + ",".join("%s=%s" % pair for pair in self.properties().items()), PORT=free_port())
		self.version = "Trino 483"

	def properties(self):
		"""Of its catalog."""
		prefix = "iceberg.jdbc-catalog."
		return {"iceberg.catalog.type": "jdbc", prefix + "catalog-name": "weir", prefix + "driver-class": "org.sqlite.JDBC",
			prefix + "connection-url": "jdbc:sqlite:file:" + self.lake.catalog, prefix + "default-warehouse-dir": "file://" + self.lake.warehouse}

	def stop(self):
		subprocess.run([self.script, "stop"], check=True)

	def uuid(self, text):
		return "UUID '%s'" % text

	def run(self, statement):
		"""Trino's client protocol: post the statement, follow nextUri until there is none."""
		request = urllib.request.Request(self.url + "/v1/statement", statement.encode(),
			{"X-Trino-User": "weir", "X-Trino-Time-Zone": "UTC", "X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME"})
		names, rows = [], []
		while request is not None:
			with urllib.request.urlopen(request, timeout=120) as answer:
				page = json.load(answer)
			if "error" in page:
				raise RuntimeError(page["error"]["message"] + causes(page["error"].get("failureInfo")))
			names = [column["name"] for column in page.get("columns", ())] or names
			rows += page.get("data", ())
			request = urllib.request.Request(page["nextUri"]) if "nextUri" in page else None
		return [dict(zip(names, row)) for row in rows]

	def hidden(self, table, suffix):
		space, name = table.split(".")
		return '%s.%s."%s$%s"' % (CATALOG, space, name, suffix)

	def tables(self):
		return ["%s.%s" % (row["table_schema"], row["table_name"]) for row in self.run(
			"SELECT table_schema, table_name FROM weir.information_schema.tables "
			"WHERE table_schema NOT IN ('information_schema', 'system')")]

	def files(self, table):
		return {local(row["file_path"]): row["record_count"] for row in
			self.run("SELECT file_path, record_count FROM %s" % self.hidden(table, "files"))}

	def rows_by_spec(self, table):
		specs = {local(file["path"]): file["spec_id"] for file in self.lake.files(table)}
		counts = {}
		for row in self.run('SELECT "$path" AS path, count(*) AS n FROM %s GROUP BY 1' % self.table(table)):
			spec = specs.get(local(row["path"]))  # none: compacted meanwhile
			counts[spec] = counts.get(spec, 0) + row["n"]
		return counts

	def snapshots(self, table):
		return {row["snapshot_id"] for row in self.run("SELECT snapshot_id FROM %s" % self.hidden(table, "snapshots"))}

	def partitions(self, table):
		row = self.run("SELECT sum(record_count) AS n, sum(file_count) AS files FROM %s" % self.hidden(table, "partitions"))[0]
		return row["n"], row["files"]

	def own_table(self):
		self.run("CREATE SCHEMA weir.theirs")
		self.run("CREATE TABLE weir.theirs.things(id BIGINT, name VARCHAR, score DOUBLE) WITH (partitioning = ARRAY['name'])")
		self.run("INSERT INTO weir.theirs.things SELECT i, if(i % 2 = 0, 'a', 'b'), i / 8e0 FROM UNNEST(sequence(0, 99)) AS t(i)")
		self.run("INSERT INTO weir.theirs.things VALUES (100, NULL, NULL)")
		self.run("DELETE FROM weir.theirs.things WHERE id < 10")


def causes(failure):
	"""The messages beneath a Trino failure, which name what the catalog file said."""
	text = ""
	while failure is not None:
		failure = failure.get("cause")
		text += ": " + failure["message"] if failure is not None and failure.get("message") else ""
	return text


ENGINES = {"pyiceberg": Pyiceberg, "duckdb": Duckdb, "spark": Spark, "trino": Trino}
