"""Writers and readers of the matrix: each makes the tables of matrix_tables.py and gives their rows in its plain values.

What an engine refuses comes out as its own exception. ENGINES names them; all share one folder and the catalog of its place (Place).
"""
import datetime
import decimal
import json
import os
import sqlite3
import subprocess
import uuid

import engines
from lake import EPOCH, moment
from matrix_tables import Model, single
from s3_client import Client

PEERS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers")
INFINITE = {"nan": "nan", "NaN": "nan", "inf": "inf", "Infinity": "inf", "-inf": "-inf", "-Infinity": "-inf"}


class Place:
	"""Where the tables of a run are: DIR/place.json says which kind of catalog and of warehouse. The rest is as engines.py asks.

	kind      files: DIR/control.db and DIR/warehouse; rest: the same, served by `weir catalog`; s3: a bucket as the warehouse;
	          postgres: the catalog in a PostgreSQL server
	rest      the URL of a REST catalog over the same tables, where one runs; DuckDB commits to such ones alone
	"""

	def __init__(self, folder, tool):
		self.folder, self.tool = folder, tool
		self.catalog, self.warehouse = os.path.join(folder, "control.db"), os.path.join(folder, "warehouse")
		with open(os.path.join(folder, "place.json")) as file:
			said = json.load(file)
		self.kind, self.rest, self.bucket = said["kind"], os.environ.get("WEIR_REST") or said.get("rest"), said.get("bucket")
		self.s3, self.port = said.get("s3"), said.get("port")   # [URL, access key, secret key]; PostgreSQL's
		self.environment = dict(os.environ)
		if self.s3:
			self.environment.update(MATRIX_WAREHOUSE=self.uri(), AWS_ENDPOINT_URL_S3=self.s3[0], AWS_ACCESS_KEY_ID=self.s3[1],
				AWS_SECRET_ACCESS_KEY=self.s3[2])
		if self.port:
			self.environment.update(MATRIX_CONTROL="postgresql://postgres@127.0.0.1:%s/postgres" % self.port)

	def uri(self):
		"""The warehouse's."""
		return "s3://%s/warehouse" % self.bucket if self.s3 else "file://" + self.warehouse

	def ask(self, *arguments, given=None):
		done = subprocess.run([self.tool, arguments[0], self.folder, *arguments[1:]], input=given, capture_output=True, text=True,
			env=self.environment)
		if done.returncode != 0:
			raise RuntimeError(done.stderr.strip())
		return [json.loads(line) for line in done.stdout.splitlines()]

	def locations(self):
		query = "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables"
		if self.port:
			done = subprocess.run([os.path.join(PEERS, "postgres", "postgres"), "psql", "-At", "-F", "\t", "-c", query], check=True,
				capture_output=True, text=True, env={**os.environ, "PORT": self.port})
			rows = [line.split("\t") for line in done.stdout.splitlines()]
		else:
			with sqlite3.connect("file:%s?mode=ro" % self.catalog, uri=True) as base:
				rows = base.execute(query).fetchall()
		return {"%s.%s" % (row[0], row[1]): row[2] for row in rows}

	def metadata(self, table):
		location = self.locations()[table]
		if self.s3:
			return json.loads(Client(*self.s3).call("GET", "/" + location.split("://")[1]))
		with open(engines.local(location)) as file:
			return json.load(file)

	def files(self, table):
		"""Live data files as weir lists them: path, spec_id, rows, and its deletes by kind."""
		return [{**file, "spec_id": file["spec"]} for file in self.ask("files", *table.split("."))]

	def snapshots(self, table):
		"""(id, time in ms) of the snapshots, oldest first, as the table's metadata has them."""
		found = self.metadata(table)["snapshots"]
		return [(s["snapshot-id"], s["timestamp-ms"]) for s in sorted(found, key=lambda s: s.get("sequence-number", 0))]


def plain(value, kind):
	"""Whatever an engine gave for a column of a kind, in the matrix's plain values."""
	if value is None:
		return None
	if not isinstance(kind, str):
		return plain_nested(value, kind)
	if kind in ("float", "double"):
		return INFINITE.get(str(value)) or (single(float(value)) if kind == "float" else float(value))
	if kind.startswith("decimal"):
		places = int(kind[:-1].split(",")[1])
		with decimal.localcontext(decimal.Context(prec=60)):
			return format(decimal.Decimal(value).quantize(decimal.Decimal(1).scaleb(-places)), "f")
	if kind == "date":
		value = datetime.date.fromisoformat(value) if isinstance(value, str) else value
		return value.toordinal() - EPOCH.toordinal() if isinstance(value, datetime.date) else value
	if kind == "time":
		value = datetime.time.fromisoformat(value) if isinstance(value, str) else value
		if isinstance(value, datetime.time):
			return ((value.hour * 60 + value.minute) * 60 + value.second) * 1000000 + value.microsecond
		return value
	if kind.startswith("timestamp"):
		return moment(value)
	if kind == "uuid":
		return str(uuid.UUID(bytes=value) if isinstance(value, bytes) else value)
	if kind == "binary" or kind.startswith("fixed"):
		return value.hex() if isinstance(value, (bytes, bytearray)) else value.lower()
	return value


def plain_nested(value, kind):
	if kind[0] == "list":
		return [plain(item, kind[1]) for item in value]
	if kind[0] == "map":
		pairs = value.items() if isinstance(value, dict) else [list(p.values()) if isinstance(p, dict) else p for p in value]
		return sorted([plain(k, kind[1]), plain(v, kind[2])] for k, v in pairs)
	if not isinstance(value, dict):
		value = dict(zip((name for name, _ in kind[1]), value))
	return {name: plain(value.get(name), inner) for name, inner in kind[1]}


def text_of(value, kind):
	"""A plain value as the text that engines cast to its type."""
	if kind == "date":
		return (EPOCH.date() + datetime.timedelta(days=value)).isoformat()
	if kind == "time":
		return (EPOCH + datetime.timedelta(microseconds=value)).strftime("%H:%M:%S.%f")
	if kind.startswith("timestamp"):
		at = EPOCH + datetime.timedelta(microseconds=value)
		return at.replace(tzinfo=None).isoformat(" ", "microseconds")
	if isinstance(value, bool):
		return "true" if value else "false"
	if isinstance(value, float):
		return repr(value)
	return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(value, value) if kind in ("float", "double") else str(value)


class Weir:
	version = "weir"

	def __init__(self, place):
		self.place = place

	def stop(self):
		pass

	def write(self, name, table):
		"""One process for each step, so that an error names the step that weir refused."""
		model, space = Model(table), name.split(".")
		self.place.ask("write", *space, given=json.dumps([{"create": model.metadata_json()}]))
		if table.version == 3:
			self.place.ask("write", *space, given=json.dumps([{"upgrade": 3}]))
		for step in table.steps:
			for part in by_delete(model, *step):
				model.step(*part)
				self.place.ask("write", *space, given=json.dumps([self.asked(model, *part)]))

	def asked(self, model, verb, *words):
		if verb in ("rows", "rows on"):
			return {"append": words[-1], "spec": len(model.specs) - 1, **({"branch": words[0]} if verb == "rows on" else {})}
		if verb in ("delete", "branch", "tag", "publish"):
			return {verb: words[0]}
		if verb == "erase":
			return {"delete": equal_to(*words)}
		return {"evolve" if verb in ("add", "spec") and "." not in words[0] else "revise": model.metadata_json()}

	def rows(self, name, kinds, where=(), **version):
		found = self.place.ask("rows", *name.split("."), json.dumps({"where": [list(term) for term in where], **version}))
		return [{column: plain(value, kinds[column]) for column, value in row.items()} for row in found]

	def by_spec(self, name):
		return rows_by_spec(self.place.files(name))


def changed_rows(model, verb, *words):
	"""The rows that an update or a merge leaves changed; the model is the table before it."""
	return [{**row, **words[0]} for row in model.rows(where=words[1])] if verb == "update" else words[0]


def by_delete(model, verb, *words):
	"""The step; an update or a merge as a deletion and the rows anew, for those who have neither."""
	if verb not in ("update", "merge"):
		return [(verb, *words)]
	rows = changed_rows(model, verb, *words)
	return [("delete", [("id", "in", *(row["id"] for row in rows))]), ("rows", rows)]


def equal_to(columns, rows):
	"""The condition by which those delete who have no deletion by equality: of the first column, which is the key."""
	return [[columns[0], "in", *(row[columns[0]] for row in rows)]]


def rows_by_spec(files):
	counts = {}
	for file in files:
		counts[file["spec_id"]] = counts.get(file["spec_id"], 0) + file["rows"]
	return counts


def timestamp(ms, zone=""):
	"""A moment as SQL has it."""
	at = EPOCH + datetime.timedelta(milliseconds=ms)
	return "TIMESTAMP '%s%s'" % (at.replace(tzinfo=None).isoformat(" ", "milliseconds"), zone)


class Sql:
	"""What the engines that speak SQL share, beside what engines.py has of each (run, name, table)."""
	types = {}            # Iceberg's name -> the engine's; others keep theirs, for the engine to refuse
	reading = {}          # a type -> how a column of it is selected
	changes = {"promote": "ALTER TABLE {t} ALTER COLUMN {0} SET DATA TYPE {1}", "add": "ALTER TABLE {t} ADD COLUMN {0} {1}",
		"rename": "ALTER TABLE {t} RENAME COLUMN {0} TO {1}", "drop": "ALTER TABLE {t} DROP COLUMN {0}",
		"first": "ALTER TABLE {t} ALTER COLUMN {0} FIRST", "branch": "ALTER TABLE {t} CREATE BRANCH {0}", "tag": "ALTER TABLE {t} CREATE TAG {0}",
		"publish": "CALL weir.system.fast_forward('{t}', 'main', '{plain}')"}

	def type(self, kind):
		if isinstance(kind, str):
			return self.types.get(kind, kind.upper())
		inner = [self.type(k) for k in kind[1:]] if kind[0] != "struct" else [(self.name(n), self.type(k)) for n, k in kind[1]]
		return self.nested_type(kind[0], inner)

	def literal(self, value, kind):
		if value is None:
			return "CAST(NULL AS %s)" % self.type(kind)
		if isinstance(kind, str):
			return self.bytes(value) if kind == "binary" or kind.startswith("fixed") else self.cast(value, kind)
		if kind[0] == "list":
			inner = [self.literal(item, kind[1]) for item in value]
		elif kind[0] == "map":
			inner = [[self.literal(k, kind[1]) for k, _ in value], [self.literal(v, kind[2]) for _, v in value]]
		else:
			inner = [(name, self.literal(value.get(name), k)) for name, k in kind[1]]
		return "CAST(%s AS %s)" % (self.nested_value(kind[0], inner), self.type(kind))

	def quoted(self, text):
		return "'%s'" % text.replace("'", "''")

	def cast(self, value, kind):
		text = self.quoted(text_of(value, kind) + (" UTC" if kind == "timestamptz" else ""))
		return text if kind == "string" else "CAST(%s AS %s)" % (text, self.type(kind))

	def bytes(self, value):
		return "X'%s'" % value

	def field(self, term):
		"""A partition field in the engine's words: identity, bucket[4] and so on."""
		transform, column = term
		text, _, width = transform.rstrip("]").partition("[")
		return text, int(width or 0), column

	def prepare(self, table):
		pass

	def write(self, name, table):
		self.prepare(table)
		model = Model(table)
		columns = ", ".join("%s %s%s" % (self.name(column), self.type(kind), " NOT NULL" if column in table.required else "")
			for column, kind in table.columns)
		self.create(self.table(name), columns, table.partition, table.version)
		for verb, *words in table.steps:
			model.step(verb, *words)
			if verb in ("rows", "rows on"):
				self.run("INSERT INTO %s VALUES %s" % (self.table(name) if verb == "rows" else self.on_branch(self.table(name), words[0]),
					self.values(model, words[-1])))
			elif verb == "spec":
				self.respec(self.table(name), model, words[0])
			elif verb == "delete":
				self.run("DELETE FROM %s WHERE %s" % (self.table(name), self.condition(model.kinds, words[0])))
			elif verb == "erase":
				self.erase(self.table(name), model, *words)
			elif verb == "update":
				self.run("UPDATE %s SET %s WHERE %s" % (self.table(name), ", ".join("%s = %s" % (column, self.literal(value, model.kinds[column]))
					for column, value in words[0].items()), self.condition(model.kinds, words[1])))
			elif verb == "merge":
				self.merge(self.table(name), model, words[0])
			else:
				self.change(self.table(name), verb, *words)

	def values(self, model, rows):
		return ", ".join("(%s)" % ", ".join(self.literal(row.get(column), kind) for column, kind in model.kinds.items()) for row in rows)

	def change(self, table, verb, path, *more):
		words = [".".join(self.name(part) for part in path.split("."))]
		words += [self.name(more[0]) if verb == "rename" else self.type(more[0])] if more else []
		self.run(self.changes[verb].format(*words, t=table, plain=path))

	def erase(self, table, model, columns, rows):
		self.run("DELETE FROM %s WHERE %s" % (table, self.condition(model.kinds, equal_to(columns, rows))))

	def merge(self, table, model, rows):
		source = " UNION ALL ".join("SELECT " + ", ".join("%s AS %s" % (self.literal(row.get(column), kind), column)
			for column, kind in model.kinds.items()) for row in rows)
		columns = list(model.kinds)
		self.run("MERGE INTO %s AS t USING (%s) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET %s WHEN NOT MATCHED THEN INSERT (%s) VALUES (%s)"
			% (table, source, ", ".join("%s = s.%s" % (c, c) for c in columns if c != "id"), ", ".join(columns),
				", ".join("s." + c for c in columns)))

	def on_branch(self, table, branch):
		return "%s.branch_%s" % (table, branch)

	def condition(self, kinds, where):
		terms = []
		for column, op, *values in where:
			literals = [self.literal(value, kinds[column]) for value in values]
			right = "(%s)" % ", ".join(literals) if op == "in" else " ".join(literals)
			terms.append("%s %s %s" % (self.name(column), op, right))
		return " AND ".join(terms) or "1 = 1"

	def rows(self, name, kinds, where=(), **version):
		source = self.table(name)
		if version:  # of which there may be fewer columns
			source = self.at(name, *version.popitem())
			found = {row["column_name"] for row in self.columns_at(source)}
			kinds = {column: kind for column, kind in kinds.items() if column in found}
		columns = ", ".join("%s AS %s" % (self.select(kind).format(self.name(column)), self.name(column))
			for column, kind in kinds.items())
		found = self.run("SELECT %s FROM %s WHERE %s" % (columns, source, self.condition(kinds, where)))
		return [{column: plain(row[column], kinds[column]) for column in kinds} for row in found]

	def select(self, kind):
		if not isinstance(kind, str):
			return self.reading.get(kind[0], "{0}")
		return self.reading.get(kind.split("(")[0], "{0}")

	def by_spec(self, name):
		return self.rows_by_spec(name)


class Duckdb(Sql, engines.Duckdb):
	types = {"int": "INTEGER", "long": "BIGINT", "string": "VARCHAR", "binary": "BLOB"}
	reading = {"timestamptz": "epoch_us({0})", "timestamp": "epoch_us({0})"}

	def nested_type(self, kind, inner):
		if kind == "list":
			return inner[0] + "[]"
		return "MAP(%s)" % ", ".join(inner) if kind == "map" else "STRUCT(%s)" % ", ".join(" ".join(m) for m in inner)

	def nested_value(self, kind, inner):
		if kind == "list":
			return "[%s]" % ", ".join(inner)
		if kind == "map":
			return "MAP([%s], [%s])" % tuple(", ".join(part) for part in inner)
		return "{%s}" % ", ".join("'%s': %s" % pair for pair in inner)

	def cast(self, value, kind):
		return super().cast(value, kind).replace(" UTC'", "+00'")

	def bytes(self, value):
		return "from_hex('%s')" % value

	def __init__(self, place):
		super().__init__(place)
		self.place, self.attached = place, False
		if place.s3:
			self.run("CREATE SECRET (TYPE s3, ENDPOINT '%s', KEY_ID '%s', SECRET '%s', URL_STYLE 'path', USE_SSL false, REGION 'us-east-1')"
				% (place.s3[0].split("://")[1], *place.s3[1:]))
		if place.kind == "rest":
			self.attach()

	def location(self, name):
		return self.place.locations()[name] if self.place.s3 else super().location(name)

	def table(self, name):
		return "weir." + name if self.attached else super().table(name)

	def at(self, name, kind, value):
		if self.attached:
			return self.table(name) + " AT (%s)" % {"snapshot": "VERSION => %s", "ref": "VERSION => '%s'", "time": "TIMESTAMP => %s"}[kind] % (
				timestamp(value) if kind == "time" else value)
		return "iceberg_scan('%s', %s)" % (self.location(name), {"snapshot": "snapshot_from_id = %s::UBIGINT", "ref": "snapshot_from_ref = '%s'",
			"time": "snapshot_from_timestamp = %s"}[kind] % (timestamp(value) if kind == "time" else value))

	def columns_at(self, source):
		return self.run("DESCRIBE SELECT * FROM %s" % source)

	# Writing: by a REST catalog over the same tables.
	def attach(self):
		self.run("ATTACH 'weir' AS weir (TYPE iceberg, %s AUTHORIZATION_TYPE 'none')"
			% ("ENDPOINT '%s'," % self.place.rest if self.place.rest else ""))
		self.attached = True

	def prepare(self, table):
		if not self.attached:
			self.attach()
		self.run("CREATE SCHEMA IF NOT EXISTS weir.duckdb")

	def create(self, name, columns, partition, version):
		self.run("CREATE TABLE %s (%s)%s" % (name, columns, " WITH ('format-version' = '3')" if version == 3 else ""))
		if partition:
			self.respec(name, None, partition)

	def respec(self, name, model, partition):
		fields = [self.field(term) for term in partition]
		self.run("ALTER TABLE %s SET PARTITIONED BY (%s)" % (name, ", ".join(
			self.name(column) if text == "identity" else "%s(%s%s)" % (text, "%d, " % width if width else "", self.name(column))
			for text, width, column in fields)))


class Spark(Sql, engines.Spark):
	types = {"long": "BIGINT", "timestamp": "TIMESTAMP_NTZ", "timestamptz": "TIMESTAMP"}
	reading = {"timestamptz": "unix_micros({0})", "timestamp": "unix_micros(CAST({0} AS TIMESTAMP))", "date": "unix_date({0})",
		"decimal": "CAST({0} AS STRING)", "binary": "hex({0})", "fixed": "hex({0})", "map": "map_entries({0})"}

	def nested_type(self, kind, inner):
		names = {"list": "ARRAY", "map": "MAP", "struct": "STRUCT"}
		return "%s<%s>" % (names[kind], ", ".join(inner if kind != "struct" else ["%s: %s" % member for member in inner]))

	def nested_value(self, kind, inner):
		if kind == "map":
			return "map_from_arrays(array(%s), array(%s))" % tuple(", ".join(part) for part in inner)
		if kind == "list":
			return "array(%s)" % ", ".join(inner)
		return "named_struct(%s)" % ", ".join("'%s', %s" % pair for pair in inner)

	def quoted(self, text):
		return "'%s'" % text.replace("\\", "\\\\").replace("'", "\\'")

	def cast(self, value, kind):
		return self.quoted(value) if kind == "uuid" else super().cast(value, kind)   # Spark has UUIDs as texts

	def create(self, name, columns, partition, version):
		fields = [self.word(term) for term in partition]
		old = any(term[0] == "void" for term in partition)  # a field that a table of format 1 drops becomes void
		self.run("CREATE TABLE %s (%s) USING iceberg %s TBLPROPERTIES ('format-version' = '%d', 'write.delete.mode' = 'merge-on-read', "
			"'write.update.mode' = '%s', 'write.merge.mode' = '%s')" % (name, columns, "PARTITIONED BY (%s)" % ", ".join(fields) if fields else "",
				1 if old else version, self.mode, self.mode))
		if old:
			self.run("ALTER TABLE %s DROP PARTITION FIELD %s" % (name, fields[0]))
			self.run("ALTER TABLE %s SET TBLPROPERTIES ('format-version' = '2')" % name)

	def word(self, term):
		text, width, column = self.field(term)
		if text in ("identity", "void"):
			return self.name(column)
		plural = text + "s" if text in ("year", "month", "day", "hour") else text
		return "%s(%s%s)" % (plural, "%d, " % width if width else "", self.name(column))

	def respec(self, name, model, partition):
		for term in partition[len(model.specs[-2]):]:
			self.run("ALTER TABLE %s ADD PARTITION FIELD %s" % (name, self.word(term)))

	changes = {**Sql.changes, "promote": "ALTER TABLE {t} ALTER COLUMN {0} TYPE {1}"}

	def prepare(self, table):
		self.mode = table.mode
		self.run("CREATE NAMESPACE IF NOT EXISTS weir.spark")

	def settings(self):
		place, catalog = self.lake, "spark.sql.catalog.weir."
		if place.kind == "rest":
			return ["rest=" + place.rest]
		if place.kind == "files":
			return [place.catalog, place.warehouse]
		if place.port:
			subprocess.run([self.script, "install"], check=True)
			jars = os.path.join(os.environ.get("PEERS", os.path.join(engines.ROOT, "build", "peers")), "spark", "jars")
			subprocess.run([os.path.join(PEERS, "postgres", "postgres"), "jdbc", jars], check=True)
			return ["none", place.warehouse, "%suri=jdbc:postgresql://127.0.0.1:%s/postgres" % (catalog, place.port), catalog + "jdbc.user=postgres"]
		subprocess.run([self.script, "s3"], check=True)
		url, key, secret = place.s3
		more = {"warehouse": place.uri(), "io-impl": "org.apache.iceberg.aws.s3.S3FileIO", "client.region": "us-east-1", "s3.endpoint": url,
			"s3.path-style-access": "true", "s3.access-key-id": key, "s3.secret-access-key": secret}
		return [place.catalog, place.warehouse] + [catalog + "%s=%s" % pair for pair in more.items()]

	def erase(self, table, model, columns, rows):
		"""What Flink writes: by Iceberg's Java classes, as Spark's SQL has no words for it."""
		self.run("\\equality " + json.dumps({"table": table, "columns": columns, "rows": [[row[c] for c in columns] for row in rows]}))

	def at(self, name, kind, value):
		word = {"snapshot": "VERSION AS OF %s", "ref": "VERSION AS OF '%s'", "time": "TIMESTAMP AS OF %s"}[kind]
		return "%s %s" % (self.table(name), word % (timestamp(value) if kind == "time" else value))

	def columns_at(self, source):
		rows = self.run("SELECT * FROM %s LIMIT 1" % source)
		return [{"column_name": name} for row in rows for name in row]


class Trino(Sql, engines.Trino):
	types = {"int": "INTEGER", "long": "BIGINT", "float": "REAL", "string": "VARCHAR", "binary": "VARBINARY", "time": "TIME(6)",
		"timestamp": "TIMESTAMP(6)", "timestamptz": "TIMESTAMP(6) WITH TIME ZONE"}
	reading = {"binary": "to_hex({0})", "fixed": "to_hex({0})", "map": "map_entries({0})"}

	def nested_type(self, kind, inner):
		names = {"list": "ARRAY", "map": "MAP", "struct": "ROW"}
		return "%s(%s)" % (names[kind], ", ".join(inner if kind != "struct" else [" ".join(member) for member in inner]))

	def nested_value(self, kind, inner):
		if kind == "list":
			return "ARRAY[%s]" % ", ".join(inner)
		if kind == "map":
			return "MAP(ARRAY[%s], ARRAY[%s])" % tuple(", ".join(part) for part in inner)
		return "ROW(%s)" % ", ".join(value for _, value in inner)

	def create(self, name, columns, partition, version):
		self.run("CREATE TABLE %s (%s) WITH (format_version = %d%s)" % (name, columns, version,
			", partitioning = " + self.fields(partition) if partition else ""))

	def fields(self, partition):
		words = []
		for text, width, column in map(self.field, partition):
			words.append(column if text == "identity" else "%s(%s%s)" % (text, column, ", %d" % width if width else ""))
		return "ARRAY[%s]" % ", ".join("'%s'" % word for word in words)

	def respec(self, name, model, partition):
		self.run("ALTER TABLE %s SET PROPERTIES partitioning = %s" % (name, self.fields(partition)))

	def prepare(self, table):
		self.run("CREATE SCHEMA IF NOT EXISTS weir.trino")

	changes = {**Sql.changes, "branch": "CREATE BRANCH {0} IN TABLE {t}", "tag": "CREATE TAG {0} IN TABLE {t}",
		"publish": "ALTER BRANCH main IN TABLE {t} FAST FORWARD TO {0}"}

	def on_branch(self, table, branch):
		return "%s @ %s" % (table, branch)

	def properties(self):
		place = self.lake
		if place.kind == "rest":
			return {"iceberg.catalog.type": "rest", "iceberg.rest-catalog.uri": place.rest}
		prefix, found = "iceberg.jdbc-catalog.", super().properties()
		if place.port:
			subprocess.run([self.script, "install"], check=True)
			jars = os.path.join(os.environ.get("PEERS", os.path.join(engines.ROOT, "build", "peers")), "trino", "jars")
			subprocess.run([os.path.join(PEERS, "postgres", "postgres"), "jdbc", jars], check=True)
			found.update({prefix + "driver-class": "org.postgresql.Driver", prefix + "connection-user": "postgres",
				prefix + "connection-url": "jdbc:postgresql://127.0.0.1:%s/postgres" % place.port})
		if place.s3:
			url, key, secret = place.s3
			found.update({prefix + "default-warehouse-dir": place.uri(), "fs.native-s3.enabled": "true", "s3.endpoint": url,
				"s3.region": "us-east-1", "s3.path-style-access": "true", "s3.aws-access-key": key, "s3.aws-secret-key": secret})
		return found

	def at(self, name, kind, value):
		word = {"snapshot": "FOR VERSION AS OF %s", "ref": "FOR VERSION AS OF '%s'", "time": "FOR TIMESTAMP AS OF %s"}[kind]
		return "%s %s" % (self.table(name), word % (timestamp(value, " UTC") if kind == "time" else value))

	def columns_at(self, source):
		rows = self.run("SELECT * FROM %s LIMIT 1" % source)
		return [{"column_name": name} for row in rows for name in row]


class Pyiceberg(engines.Pyiceberg):
	def open(self):
		from pyiceberg.catalog import load_catalog
		from pyiceberg.catalog.sql import SqlCatalog
		place, uri, more = self.lake, "sqlite:///" + self.lake.catalog, {}
		if place.kind == "rest":
			return load_catalog(engines.CATALOG, type="rest", uri=place.rest)
		if place.port:
			uri = "postgresql+psycopg2://postgres@127.0.0.1:%s/postgres" % place.port
		if place.s3:
			more = dict(zip(("s3.endpoint", "s3.access-key-id", "s3.secret-access-key"), place.s3), **{"s3.region": "us-east-1"})
		return SqlCatalog(engines.CATALOG, uri=uri, warehouse=place.uri(), **more)

	def write(self, name, table):
		import pyarrow as pa
		from pyiceberg.partitioning import PartitionSpec
		from pyiceberg.schema import Schema
		model = Model(table)
		self.catalog.create_namespace_if_not_exists(name.split(".")[0])
		made = self.catalog.create_table(name, Schema.model_validate(model.schema_json()),
			partition_spec=PartitionSpec.model_validate({"spec-id": 0, "fields": model.specs[0]}),
			properties={"format-version": str(table.version)})
		for step in table.steps:
			verb, *words = step
			changed = changed_rows(model, *step) if verb in ("update", "merge") else []
			model.step(*step)
			if changed:
				rows = [{column: python(row.get(column), kind) for column, kind in model.kinds.items()} for row in changed]
				made.upsert(pa.Table.from_pylist(rows, schema=made.schema().as_arrow()), join_cols=["id"])
			elif verb in ("rows", "rows on"):
				rows = [{column: python(row.get(column), kind) for column, kind in model.kinds.items()} for row in words[-1]]
				made.append(pa.Table.from_pylist(rows, schema=made.schema().as_arrow()), **({"branch": words[0]} if verb == "rows on" else {}))
			elif verb in ("delete", "erase"):
				made.delete(self.where(model.kinds, words[0] if verb == "delete" else equal_to(*words)))
			elif verb == "spec":
				with made.update_spec() as update:
					for transform, column in words[0][len(model.specs[-2]):]:
						update.add_field(column, transform)
			elif verb in ("branch", "tag"):
				getattr(made.manage_snapshots(), "create_" + verb)(made.current_snapshot().snapshot_id, words[0]).commit()
			elif verb == "publish":
				made.manage_snapshots().set_current_snapshot(ref_name=words[0]).commit()
			else:
				with made.update_schema(allow_incompatible_changes=verb == "drop") as update:
					self.change(update, step)
			made.refresh()

	def change(self, update, step):
		from pyiceberg.schema import Schema
		kind = None
		if step[0] in ("add", "promote"):
			field = {"id": 1, "name": "x", "required": False, "type": Model.type_json(None, step[2], ())}
			kind = Schema.model_validate({"type": "struct", "fields": [field]}).fields[0].field_type
		if step[0] == "add":
			update.add_column(tuple(step[1].split(".")), kind)
		elif step[0] == "promote":
			update.update_column(step[1], kind)
		elif step[0] == "rename":
			update.rename_column(step[1], step[2])
		elif step[0] == "drop":
			update.delete_column(step[1])
		else:
			update.move_first(step[1])

	def rows(self, name, kinds, where=(), snapshot=None, ref=None, time=None):
		table = self.load(name)
		if ref is not None:
			snapshot = table.snapshot_by_name(ref).snapshot_id
		if time is not None:
			snapshot = table.snapshot_as_of_timestamp(time).snapshot_id
		found = table.scan(row_filter=self.where(kinds, where), snapshot_id=snapshot).to_arrow().to_pylist()
		return [{column: plain(value, kinds[column]) for column, value in row.items()} for row in found]

	def where(self, kinds, where):
		from pyiceberg.expressions import AlwaysTrue, And
		terms = [self.term(kinds, *term) for term in where]
		return And(*terms) if len(terms) > 1 else terms[0] if terms else AlwaysTrue()

	def term(self, kinds, column, op, *values):
		from pyiceberg import expressions as e
		if op in ("is null", "is not null"):
			return (e.IsNull if op == "is null" else e.NotNull)(column)
		made = [python(value, kinds[column]) for value in values]
		if kinds[column].startswith("timestamp"):
			made = [value.isoformat() for value in made]
		if kinds[column] == "date":
			made = [value.isoformat() for value in made]
		if op == "in":
			return e.In(column, made)
		names = {"=": e.EqualTo, "<>": e.NotEqualTo, "<": e.LessThan, "<=": e.LessThanOrEqual, ">": e.GreaterThan,
			">=": e.GreaterThanOrEqual}
		return names[op](column, made[0])

	def by_spec(self, name):
		return self.rows_by_spec(name)


def python(value, kind):
	"""A plain value as Python's own types, for PyIceberg and pyarrow."""
	if value is None:
		return None
	if not isinstance(kind, str):
		if kind[0] == "list":
			return [python(item, kind[1]) for item in value]
		if kind[0] == "map":
			return [(python(k, kind[1]), python(v, kind[2])) for k, v in value]
		return {name: python(value.get(name), inner) for name, inner in kind[1]}
	if kind.startswith("decimal"):
		return decimal.Decimal(value)
	if kind in ("float", "double"):
		return float(value)
	if kind == "date":
		return EPOCH.date() + datetime.timedelta(days=value)
	if kind == "time":
		return (EPOCH + datetime.timedelta(microseconds=value)).time()
	if kind.startswith("timestamp"):
		at = EPOCH + datetime.timedelta(microseconds=value)
		return at if kind == "timestamptz" else at.replace(tzinfo=None)
	if kind == "uuid":
		return uuid.UUID(value).bytes
	return bytes.fromhex(value) if kind == "binary" or kind.startswith("fixed") else value


ENGINES = {"weir": Weir, "pyiceberg": Pyiceberg, "duckdb": Duckdb, "spark": Spark, "trino": Trino}
