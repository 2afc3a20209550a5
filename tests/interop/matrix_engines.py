"""Writers and readers of the matrix: each makes the tables of matrix_tables.py and gives their rows in its plain values.

What an engine refuses comes out as its own exception. ENGINES names them; all share DIR/control.db and DIR/warehouse.
"""
import base64
import datetime
import decimal
import json
import os
import re
import sqlite3
import subprocess
import uuid

import engines
from lake import EPOCH, moment
from matrix_tables import Model, single

INFINITE = {"nan": "nan", "NaN": "nan", "inf": "inf", "Infinity": "inf", "-inf": "-inf", "-Infinity": "-inf"}


class Catalog:
	"""The folder that all engines share, in the terms that engines.py asks for."""

	def __init__(self, folder, tool):
		self.folder, self.tool = folder, tool
		self.catalog, self.warehouse = os.path.join(folder, "control.db"), os.path.join(folder, "warehouse")

	def ask(self, *arguments, given=None):
		done = subprocess.run([self.tool, arguments[0], self.folder, *arguments[1:]], input=given, capture_output=True, text=True)
		if done.returncode != 0:
			raise RuntimeError(done.stderr.strip())
		return [json.loads(line) for line in done.stdout.splitlines()]

	def locations(self):
		with sqlite3.connect("file:%s?mode=ro" % self.catalog, uri=True) as base:
			return {"%s.%s" % row[:2]: row[2] for row in
				base.execute("SELECT table_namespace, table_name, metadata_location FROM iceberg_tables")}

	def files(self, table):
		"""Live data files as weir lists them: path, spec, rows."""
		return [{"path": f["path"], "spec_id": f["spec"], "rows": f["rows"], "deletes": f["deletes"]}
			for f in self.ask("files", *table.split("."))]

	def snapshots(self, table):
		"""Ids of the snapshots, oldest first, as the table's metadata has them."""
		with open(engines.local(self.locations()[table])) as file:
			found = json.load(file)["snapshots"]
		return [s["snapshot-id"] for s in sorted(found, key=lambda s: s.get("sequence-number", 0))]


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

	def __init__(self, catalog):
		self.catalog = catalog

	def stop(self):
		pass

	def write(self, name, table):
		"""One process for each step, so that an error names the step that weir refused."""
		model, space = Model(table), name.split(".")
		self.catalog.ask("write", *space, given=json.dumps([{"create": model.metadata_json()}]))
		if table.version == 3:
			self.catalog.ask("write", *space, given=json.dumps([{"upgrade": 3}]))
		for step in table.steps:
			model.step(*step)
			if step[0] == "rows":
				one = {"append": step[1], "spec": len(model.specs) - 1}
			elif step[0] == "delete":
				one = {"delete": step[1]}
			else:
				one = {"evolve" if step[0] in ("add", "spec") and "." not in step[1] else "revise": model.metadata_json()}
			self.catalog.ask("write", *space, given=json.dumps([one]))

	def rows(self, name, kinds, snapshot=None, where=()):
		query = {"where": [list(term) for term in where]}
		if snapshot is not None:
			query["snapshot"] = snapshot
		found = self.catalog.ask("rows", *name.split("."), json.dumps(query))
		return [{column: plain(value, kinds[column]) for column, value in row.items()} for row in found]

	def by_spec(self, name):
		return rows_by_spec(self.catalog.files(name))


def rows_by_spec(files):
	counts = {}
	for file in files:
		counts[file["spec_id"]] = counts.get(file["spec_id"], 0) + file["rows"]
	return counts


class Sql:
	"""What the engines that speak SQL share, beside what engines.py has of each (run, name, table)."""
	types = {}            # Iceberg's name -> the engine's; others keep theirs, for the engine to refuse
	reading = {}          # a type -> how a column of it is selected
	changes = {"promote": "ALTER TABLE {t} ALTER COLUMN {0} SET DATA TYPE {1}", "add": "ALTER TABLE {t} ADD COLUMN {0} {1}",
		"rename": "ALTER TABLE {t} RENAME COLUMN {0} TO {1}", "drop": "ALTER TABLE {t} DROP COLUMN {0}"}

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
		for step in table.steps:
			model.step(*step)
			if step[0] == "rows":
				rows = ", ".join("(%s)" % ", ".join(self.literal(row.get(column), kind) for column, kind in model.kinds.items())
					for row in step[1])
				self.run("INSERT INTO %s VALUES %s" % (self.table(name), rows))
			elif step[0] == "spec":
				self.respec(self.table(name), model, step[1])
			elif step[0] == "delete":
				self.run("DELETE FROM %s WHERE %s" % (self.table(name), self.condition(model.kinds, step[1])))
			elif step[0] == "first":
				self.run("ALTER TABLE %s ALTER COLUMN %s FIRST" % (self.table(name), self.name(step[1])))
			else:
				words = [".".join(self.name(part) for part in step[1].split("."))]
				words += [self.name(step[2]) if step[0] == "rename" else self.type(step[2])] if len(step) > 2 else []
				self.run(self.changes[step[0]].format(*words, t=self.table(name)))

	def condition(self, kinds, where):
		terms = []
		for column, op, *values in where:
			literals = [self.literal(value, kinds[column]) for value in values]
			right = "(%s)" % ", ".join(literals) if op == "in" else " ".join(literals)
			terms.append("%s %s %s" % (self.name(column), op, right))
		return " AND ".join(terms) or "1 = 1"

	def rows(self, name, kinds, snapshot=None, where=()):
		source = self.table(name) if snapshot is None else self.at(name, snapshot)
		if snapshot is not None:  # a snapshot may have fewer columns
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

	def at(self, name, snapshot):
		return "iceberg_scan('%s', snapshot_from_id = %d::UBIGINT)" % (self.location(name), snapshot)

	def columns_at(self, source):
		return self.run("DESCRIBE SELECT * FROM %s" % source)

	# Writing: by a REST catalog over the same file.
	attached = False

	def prepare(self, table):
		if not self.attached:
			url = os.environ.get("WEIR_REST", "")
			self.run("ATTACH 'weir' AS weir (TYPE iceberg, %s AUTHORIZATION_TYPE 'none')" % ("ENDPOINT '%s'," % url if url else ""))
			self.run("CREATE SCHEMA IF NOT EXISTS weir.duckdb")
			self.attached = True

	def write(self, name, table):
		reading, self.table = self.table, lambda name: "weir." + name
		try:
			super().write(name, table)
		finally:
			self.table = reading

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
		self.run("CREATE TABLE %s (%s) USING iceberg %s TBLPROPERTIES ('format-version' = '%d', 'write.delete.mode' = 'merge-on-read')"
			% (name, columns, "PARTITIONED BY (%s)" % ", ".join(fields) if fields else "", 1 if old else version))
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
		self.run("CREATE NAMESPACE IF NOT EXISTS weir.spark")

	def at(self, name, snapshot):
		return "%s VERSION AS OF %d" % (self.table(name), snapshot)

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

	def at(self, name, snapshot):
		return "%s FOR VERSION AS OF %d" % (self.table(name), snapshot)

	def columns_at(self, source):
		rows = self.run("SELECT * FROM %s LIMIT 1" % source)
		return [{"column_name": name} for row in rows for name in row]


class Pyiceberg(engines.Pyiceberg):
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
			model.step(*step)
			if step[0] == "rows":
				rows = [{column: python(row.get(column), kind) for column, kind in model.kinds.items()} for row in step[1]]
				made.append(pa.Table.from_pylist(rows, schema=made.schema().as_arrow()))
			elif step[0] == "delete":
				made.delete(self.where(model.kinds, step[1]))
			elif step[0] == "spec":
				with made.update_spec() as update:
					for transform, column in step[1][len(model.specs[-2]):]:
						update.add_field(column, transform)
			else:
				with made.update_schema(allow_incompatible_changes=step[0] == "drop") as update:
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

	def rows(self, name, kinds, snapshot=None, where=()):
		found = self.load(name).scan(row_filter=self.where(kinds, where), snapshot_id=snapshot).to_arrow().to_pylist()
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
