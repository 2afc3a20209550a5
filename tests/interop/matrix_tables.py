"""What the matrix compares: tables described once, for every writer alike, and what a reader must find in them.

A table is columns, a partition spec and steps; a feature is a question to one table, in a catalog of one kind. Values are plain: dates are days, times
microseconds, decimals texts, binary hexadecimal, NaN and the infinities "nan", "inf", "-inf", maps lists of [key, value].
Nothing but Python's library is needed.
"""
import decimal
import json
import struct

DAY = 86400000000
NOON = 1738411200000000   # 2025-02-01T12:00:00Z
FAR = 10000000000         # keys past 32 bits
LONG_TEXT = "a text that is longer than what is kept inline " * 7 + "."

# A type -> values that a column of it holds, the ends of its range among them. Nested types are tuples.
VALUES = {
	"boolean": [True, False, None, True],
	"int": [0, 1, -1, None, 2147483647, -2147483648],
	"long": [0, 1, -1, None, 9223372036854775807, -9223372036854775808],
	"float": [0.0, 1.5, -0.25, None, 3.4028234663852886e38, 1.401298464324817e-45, "nan", "inf", "-inf"],
	"double": [0.0, 0.1, -2.5e-7, None, 1.7976931348623157e308, 5e-324, "nan", "inf", "-inf"],
	"decimal(9,2)": ["0.00", "1.25", "-0.01", None, "9999999.99", "-9999999.99"],
	"decimal(18,3)": ["0.000", "1.250", "-0.001", None, "999999999999999.999", "-999999999999999.999"],
	"decimal(38,10)": ["0.0000000000", "-0.0000000001", None, "9999999999999999999999999999.9999999999",
		"-9999999999999999999999999999.9999999999", "12345678901234567890.0123456789"],
	"date": [0, 1, -1, None, 20120, -719162, 2932896],
	"time": [0, 1, None, 86399999999, 43200000000],
	"timestamp": [0, 1, -1, None, 1700000000123456, -62135596800000000, 253402300799999999],
	"timestamptz": [0, 1, -1, None, 1700000000123456, -62135596800000000, 253402300799999999],
	"string": ["", "a", None, "it's \"quoted\" \\ and / = %2F", "\u017elu\u0165ou\u010dk\u00fd k\u016f\u0148", "\U0001f642", LONG_TEXT],
	"uuid": ["00000000-0000-0000-0000-000000000000", "f79c3e09-677c-4bbd-a479-3f349cb785e7", None,
		"ffffffff-ffff-ffff-ffff-ffffffffffff"],
	"fixed(5)": ["0000000000", "68656c6c6f", None, "ff00ff00ff"],
	"binary": ["", "00", None, "ff00fe01", "61" * 40],
}
POINT = ("struct", (("x", "double"), ("label", "string")))
DEEP = ("list", ("struct", (("name", "string"), ("marks", ("map", "string", ("list", "long"))))))


# Where tables are, and how features that ask of them begin. "files" is a SQLite catalog beside a folder.
PLACES = {"files": "", "rest": "in weir's REST catalog: ", "s3": "in S3: ", "postgres": "catalog in PostgreSQL: "}
# Runs of the matrix, each by itself: the kinds of features among local files, then the other places.
GROUPS = ("types", "partitions", "changes", "filters", "rest", "s3", "postgres")


class Table:
	"""Steps: ("rows", ROWS), ("add" and other changes of the schema, ...), ("spec", PARTITION), ("delete", WHERE), ("erase", COLUMNS, ROWS):
	the rows equal to one of ROWS in these columns; ("branch", NAME), ("tag", NAME), ("rows on", BRANCH, ROWS), ("publish", BRANCH): main
	goes forward to it; ("update", VALUES, WHERE), ("merge", ROWS): rows of ids that are there are replaced, others added. `deletes` is the kind of
	delete files that the writer must leave: positions, vectors or equalities; `mode` how a writer that has a choice updates and merges."""

	def __init__(self, name, columns, partition=(), steps=(), required=(), version=2, deletes=None, mode="merge-on-read"):
		self.name, self.columns, self.partition, self.steps, self.required = name, columns, partition, steps, required
		self.version, self.deletes, self.mode = version, deletes, mode   # version: of Iceberg's format


class Feature:
	"""`check` is rows, specs, deletes, travel, times or refs; `filters` are read besides, each a list of (column, op, value...)."""

	def __init__(self, name, table, group, check="rows", filters=(), only_filters=False):
		self.name, self.table, self.check, self.filters, self.only_filters = name, table, check, filters, only_filters
		self.group, self.place = group, group if group in PLACES else "files"


def rows_of(*columns):
	"""Rows from (name, values) pairs: as many as the longest has, the others repeated; `id` numbers them."""
	count = max(len(values) for _, values in columns)
	return [{"id": i, **{name: values[i % len(values)] for name, values in columns}} for i in range(count)]


def one(name, kind, values, partition=(), required=()):
	return Table(name, [("id", "long"), ("v", kind)], partition, [("rows", rows_of(("v", values)))], required)


def build():
	tables, features, group = {}, [], "types"

	def add(feature, table, **more):
		tables[table.name] = table
		features.append(Feature(feature, table.name, group, **more))

	for kind, values in VALUES.items():
		add("type " + kind, one("type_" + "".join(c if c.isalnum() else "_" for c in kind).strip("_"), kind, values))
	add("nulls", Table("nulls", [("id", "long"), ("a", "string"), ("b", "double"), ("c", "timestamptz"), ("none", "long")], (),
		[("rows", rows_of(("a", ["x", None]), ("b", [None, 1.5, None]), ("c", [None, None, None, NOON]), ("none", [None] * 7)))]),
		filters=[[("a", "is null")], [("none", "is null")], [("none", "is not null")]])
	add("required columns", Table("required", [("id", "long"), ("v", "string")], (), [("rows", rows_of(("v", ["x", "y", ""])))],
		("id", "v")))
	add("type list", one("type_list", ("list", "string"), [["a", "b"], [], None, ["c", None, "\u00e9"], [LONG_TEXT]]))
	add("type map", one("type_map", ("map", "string", "long"), [[["a", 1]], [], None, [["b", None], ["c", -5]]]))
	add("type struct", one("type_struct", POINT, [{"x": 1.5, "label": "a"}, {"x": None, "label": "b"}, None,
		{"x": 0.25, "label": None}]))
	add("nested types", one("type_nested", DEEP, [[{"name": "a", "marks": [["m", [1, 2, None]], ["n", []]]}], [], None,
		[{"name": None, "marks": None}, {"name": "b", "marks": []}], [{"name": "c", "marks": [["k", None]]}]]))

	old = [("id", "long"), ("v", "string")]
	first = ("rows", rows_of(("v", ["a", "b", None])))
	add("column added", Table("column_added", old, (), [first, ("add", "w", "double"),
		("rows", [{"id": 10, "v": "late", "w": 2.5}, {"id": 11, "v": None, "w": None}])]),
		filters=[[("w", "is null")], [("w", ">", 1.0)]])
	add("field added in a struct", Table("field_added", [("id", "long"), ("s", ("struct", (("x", "double"),)))], (),
		[("rows", [{"id": 0, "s": {"x": 1.0}}, {"id": 1, "s": None}]), ("add", "s.y", "string"),
			("rows", [{"id": 2, "s": {"x": None, "y": "new"}}])]))
	for before, after, low, high in (("int", "long", 2147483647, 9223372036854775807), ("float", "double", 0.5, 1.7976931348623157e308),
			("decimal(9,2)", "decimal(18,2)", "9999999.99", "9999999999999999.99")):
		name = "promoted_" + before.split("(")[0]
		add("%s promoted to %s" % (before, after), Table(name, [("id", "long"), ("v", before)], (),
			[("rows", [{"id": 0, "v": low}, {"id": 1, "v": None}]), ("promote", "v", after),
				("rows", [{"id": 2, "v": high}, {"id": 3, "v": low}])]), filters=[[("v", "=", low)], [("v", "=", high)]])
	add("column renamed", Table("column_renamed", old, (), [first, ("rename", "v", "w"), ("rows", [{"id": 10, "w": "c"}])]),
		filters=[[("w", "=", "b")]])
	add("column dropped", Table("column_dropped", old + [("w", "long")], (),
		[("rows", [{"id": 0, "v": "a", "w": 1}, {"id": 1, "v": "b", "w": 2}]), ("drop", "v"), ("rows", [{"id": 2, "w": 3}])]))
	add("dropped column's name used again", Table("column_again", old, (), [first, ("drop", "v"), ("add", "v", "string"),
		("rows", [{"id": 10, "v": "c"}])]))
	add("columns reordered", Table("column_reordered", old, (), [first, ("first", "v"), ("rows", [{"id": 10, "v": "c"}])]))

	group = "partitions"
	stamps = [NOON + i * 3600000000 * 7 for i in range(40)] + [None, -1, -DAY * 400]
	dates = [20000 + i * 11 for i in range(40)] + [None, -1, -400]
	words = ["apple", "apricot", "banana", "b", "", None, "\u017elut\u00fd k\u016f\u0148", "a/b=c %2F+\u00fc?"] + ["word %d" % i for i in range(20)]
	longs = [i * i * 7919 - 40000 for i in range(40)] + [None, 0, -1]
	decimals = ["%d.%02d" % (i * 37, i) for i in range(30)] + [None, "-0.01", "-37.50"]

	def partition(transform, kind, values, label, filters):
		text = transform.split("[")[0]
		name = "part_%s_%s" % (text, kind.split("(")[0])
		add("partition by %s of %s" % (label, kind), one(name, kind, values, [(transform, "v")]), filters=filters)

	def equals(*values):
		return [[("v", "=", value)] for value in values] + [[("v", "is null")]]

	def within(low, high):
		return [[("v", ">=", low), ("v", "<", high)], [("v", "<", low)], [("v", "is null")]]

	partition("identity", "string", words, "identity", equals("apple", "", "a/b=c %2F+\u00fc?"))
	partition("identity", "long", longs, "identity", equals(0, longs[7]) + within(-1, 500000))
	partition("identity", "boolean", [True, False, None], "identity", equals(True, False))
	partition("identity", "date", dates[:8] + [None], "identity", equals(dates[3]) + within(20000, 20022))
	partition("identity", "decimal(9,2)", decimals[:8] + [None, "-0.01"], "identity", equals("37.01", "-0.01"))
	partition("bucket[4]", "string", words, "bucket", equals("apple", "banana", "\u017elut\u00fd k\u016f\u0148"))
	partition("bucket[4]", "int", [v % 100000 if v is not None else None for v in longs], "bucket", equals(0, longs[9] % 100000))
	partition("bucket[4]", "long", longs, "bucket", equals(0, longs[7], -1))
	partition("bucket[4]", "decimal(9,2)", decimals, "bucket", equals("37.01", "-0.01", "-37.50"))
	partition("bucket[4]", "date", dates, "bucket", equals(dates[5], -1))
	partition("bucket[4]", "timestamptz", stamps, "bucket", equals(stamps[5], -1))
	partition("bucket[4]", "uuid", VALUES["uuid"], "bucket", equals(VALUES["uuid"][1]))
	partition("bucket[4]", "binary", VALUES["binary"], "bucket", [[("v", "is null")]])
	partition("truncate[3]", "string", words, "truncate", equals("apple", "b", "") + within("apq", "word 1"))
	partition("truncate[100]", "long", longs, "truncate", equals(0, -1, longs[7]) + within(-150, 500000))
	partition("truncate[50]", "decimal(9,2)", decimals, "truncate", equals("37.01", "-0.01") + within("-20.00", "100.00"))
	for unit in ("year", "month", "day"):
		partition(unit, "date", dates, unit, equals(dates[3], -1) + within(20020, 20100))
	for unit in ("year", "month", "day", "hour"):
		partition(unit, "timestamptz", stamps, unit, equals(stamps[3], -1) + within(NOON + DAY, NOON + 4 * DAY))
	partition("day", "timestamp", stamps, "day", equals(stamps[3], -1) + within(NOON + DAY, NOON + 4 * DAY))
	partition("void", "string", words, "void", equals("apple"))
	add("partition by two fields", Table("part_two", [("id", "long"), ("v", "string"), ("t", "timestamptz")],
		[("identity", "v"), ("day", "t")], [("rows", rows_of(("v", ["x", "y", None]), ("t", stamps[:12])))]),
		filters=[[("v", "=", "x"), ("t", ">=", NOON + DAY)], [("v", "is null")]])
	both = Table("two_specs", [("id", "long"), ("v", "string"), ("t", "timestamptz")], [("identity", "v")],
		[("rows", rows_of(("v", ["x", "y"]), ("t", stamps[:9]))), ("spec", [("identity", "v"), ("day", "t")]),
			("rows", [{"id": 100 + i, "v": "xz"[i % 2], "t": NOON + i * DAY} for i in range(6)])])
	add("two specs in one table", both, check="specs", filters=[[("v", "=", "x")], [("t", "<", NOON + DAY)]])
	two_specs = features[-1]
	group = "changes"
	travel = Table("travel", old, (), [("rows", [{"id": 0, "v": "a"}]), ("rows", [{"id": 1, "v": "b"}]),
		("rows", [{"id": 2, "v": "c"}, {"id": 3, "v": None}])])
	travel_added = Table("travel_added", old, (), [("rows", [{"id": 0, "v": "a"}]), ("add", "w", "double"),
		("rows", [{"id": 1, "v": "b", "w": 0.5}])])
	add("time travel", travel, check="travel")
	add("time travel over a new column", travel_added, check="travel")
	add("time travel by time", travel, check="times")
	add("time travel by time over a new column", travel_added, check="times")
	refs = [first, ("tag", "first"), ("branch", "side"), ("rows", [{"id": 10, "v": "main"}]),
		("rows on", "side", [{"id": 20, "v": "side"}]), ("rows on", "side", [{"id": 21, "v": None}])]
	tagged = Table("tagged", old, (), refs[:2] + refs[3:4])
	branched = Table("branched", old, (), refs[:1] + refs[2:])
	add("a tag read by its name", tagged, check="refs")
	add("a branch written and read by its name", branched, check="refs")
	add("a branch written, then published", Table("published", old, (), refs[:1] + refs[2:3] + refs[4:] + [("publish", "side"),
		("rows", [{"id": 30, "v": "after"}])]), check="refs")

	for version in (2, 3):
		gone = ("delete", [("id", "in", 1, 7, 20, 21)])
		table = Table("deleted_%d" % version, old, (), [("rows", rows_of(("v", words))), gone,
			("rows", [{"id": 100, "v": "late"}]), ("delete", [("id", "=", 22)])], version=version)
		add("rows deleted in format %d" % version, table, check="deletes", filters=[[("id", ">", 18)]])
	add("time travel before a delete", table, check="travel")
	three = Table("format_3", [("id", "long"), ("v", "string")], [("bucket[4]", "v")], [first, ("add", "w", "double"),
		("rows", [{"id": 10, "v": "late", "w": 2.5}])], version=3)
	add("format 3 without deletes", three, filters=[[("v", "=", "a")], [("w", "is null")]])
	for version, name, kind in ((2, "position deletes in format 2", "positions"), (3, "deletion vectors in format 3", "vectors")):
		many = [("rows", [{"id": i, "v": "ab"[i % 2]} for i in range(at, at + 50)]) for at in (0, 50)]
		add(name, Table(kind, old, (), many + [("delete", [("id", "in", 0, 1, 49, 50, 98)]), ("delete", [("id", "in", 2, 51, 99)])],
			version=version, deletes=kind), filters=[[("v", "=", "a")], [("id", "<", 3)]])
		add(name + ", of two specs", Table(kind + "_specs", old, [("identity", "v")], many[:1] + [("spec", [("identity", "v"), ("bucket[4]", "id")]),
			many[1], ("delete", [("id", "in", 0, 1, 49, 50, 98)]), ("rows", [{"id": 0, "v": "a"}])], version=version, deletes=kind),
			filters=[[("v", "=", "a")], [("id", "<", 3)]])
	changed = many + [("update", {"v": "changed"}, [("id", "in", 3, 4, 52)]), ("merge", [{"id": i, "v": "merged"} for i in (5, 51, 100, 101)]),
		("update", {"v": None}, [("v", "=", "merged"), ("id", ">", 60)])]
	for name, version, kind, mode in (("copy-on-write", 2, None, "copy-on-write"), ("merge-on-read in format 2", 2, "positions", "merge-on-read"),
			("merge-on-read in format 3", 3, "vectors", "merge-on-read")):
		add("rows updated and merged, " + name, Table("merged_%s_%d" % (mode[:4], version), old, [("identity", "v")], changed, version=version,
			deletes=kind, mode=mode), filters=[[("v", "=", "changed")], [("v", "is null")], [("id", "<", 6)]])
	keyed = ("rows", [{"id": i + FAR, "v": [None, "a", "b", "c"][i % 4]} for i in range(12)])
	add("equality deletes", Table("equal", old, (), [keyed, ("erase", ["id"], [{"id": FAR + 1}, {"id": FAR + 5}, {"id": FAR + 99}]),
		("rows", [{"id": FAR + 1, "v": "again"}])], deletes="equalities"), filters=[[("id", "<", FAR + 3)], [("v", "is null")]])
	add("equality deletes of two columns, for two specs", Table("equal_two", old, (), [keyed, ("spec", [("identity", "v")]),
		("rows", [{"id": i + FAR, "v": [None, "a", "b", "c"][i % 4]} for i in range(12, 24)]), ("erase", ["id", "v"], [{"id": FAR + i, "v": v}
			for i, v in ((2, "b"), (3, "b"), (4, None), (14, "b"), (15, "a"), (16, None))])], deletes="equalities"),
		filters=[[("v", "=", "b")], [("v", "is null")]])

	group = "filters"
	wide = Table("filters", [("id", "long"), ("text", "string"), ("number", "double"), ("at", "timestamptz"), ("day", "date"),
		("flag", "boolean")], [("day", "at")],
		[("rows", [{"id": i, "text": words[i % 28], "number": None if i % 5 == 0 else i / 4, "at": NOON + i * 3600000000,
			"day": 20000 + i, "flag": [True, False, None][i % 3]} for i in range(start, start + 60)]) for start in (0, 60)])
	keys = one("filters_uuid", "uuid", ["00000000-0000-4000-8000-%012d" % i for i in range(40)] + [None])
	for label, where in (
			("a text", [("text", "=", "banana")]), ("a text's range", [("text", ">=", "banana"), ("text", "<", "word 12")]),
			("a number's range", [("number", ">", 3.0), ("number", "<=", 20.25)]), ("null", [("number", "is null")]),
			("not null", [("flag", "is not null")]), ("inequality", [("text", "<>", "banana")]),
			("a set", [("id", "in", 3, 70, 119, 500)]), ("a time's range", [("at", ">=", NOON + 30 * 3600000000), ("at", "<", NOON + DAY * 3)]),
			("a date", [("day", "=", 20077)]), ("a boolean", [("flag", "=", True)]),
			("nothing", [("number", ">", 1e9)])):
		add("filter by " + label, wide, filters=[where], only_filters=True)
	add("filter by a UUID", keys, filters=[[("v", "=", "00000000-0000-4000-8000-000000000017")]], only_filters=True)

	kinds = ["boolean", "int", "long", "float", "double", "decimal(38,10)", "date", "timestamp", "timestamptz", "string", "binary"]
	nested = {"list": ("list", "string"), "map": ("map", "string", "long"), "struct": POINT}
	samples = {**{"c_" + kind.split("(")[0]: VALUES[kind] for kind in kinds}, "c_list": [["a", LONG_TEXT], [], None],
		"c_map": [[["a", 1]], None], "c_struct": [{"x": 1.5, "label": "a"}, None]}
	every = Table("every_type", [("id", "long")] + [("c_" + kind.split("(")[0], kind) for kind in kinds] + [("c_" + name, kind)
		for name, kind in nested.items()], (), [("rows", rows_of(*samples.items()))])
	evolved = Table("evolved", old, (), [first, ("add", "w", "double"), ("rename", "v", "word"), ("rows", [{"id": 10, "word": "c", "w": 0.5}])])
	for place in list(PLACES)[1:]:
		group = place
		for name, table, check, filters in (
				("every type", every, "rows", [[("c_string", "is null")], [("c_long", "=", -1)]]),
				("columns added and renamed", evolved, "rows", [[("w", "is null")], [("word", "=", "a")]]),
				("partitions of two fields", tables["part_two"], "rows", [[("v", "=", "x"), ("t", ">=", NOON + DAY)]]),
				("two specs in one table", both, "specs", two_specs.filters),
				("position deletes", tables["positions"], "rows", [[("id", "<", 3)]]),
				("deletion vectors", tables["vectors"], "rows", [[("id", "<", 3)]]),
				("time travel", travel, "travel", []), ("time travel by time", travel, "times", []),
				("a tag read by its name", tagged, "refs", []),
				("a branch written and read by its name", branched, "refs", [])):
			add(PLACES[place] + name, table, check=check, filters=filters)
	return tables, features


TABLES, FEATURES = build()


class Model:
	"""A table as its steps make it: its columns by field id, and the rows of each snapshot."""

	def __init__(self, table):
		self.columns, self.data, self.snapshots, self.by_spec, self.refs = [], [], [], [0], {}
		self.ids, self.specs, self.required, self.version = {}, [], table.required, table.version
		for name, kind in table.columns:
			self.add(name, kind)
		self.spec_of(table.partition)

	@property
	def kinds(self):
		return {name: kind for _, name, kind in self.columns}

	def step(self, verb, *arguments):
		getattr(self, {"rows": "append", "rows on": "append_on", "tag": "branch"}.get(verb, verb))(*arguments)

	def take(self, key):
		"""The field id of a place in the schema, the same each time it is asked."""
		return self.ids.setdefault(key, len(self.ids) + 1)

	def column(self, name):
		return next(column for column in self.columns if column[1] == name)

	def numbered(self, rows):
		return [{self.column(name)[0]: value for name, value in row.items()} for row in rows]

	def append(self, rows):
		self.data = self.data + self.numbered(rows)
		self.by_spec[-1] += len(rows)
		self.snapshots.append(self.data)

	def append_on(self, name, rows):
		self.refs[name] = self.refs[name] + self.numbered(rows)

	def branch(self, name):
		"""Or a tag."""
		self.refs[name] = self.data

	def publish(self, name):
		self.data = self.refs[name]

	def erase(self, columns, rows):
		gone = [[row[name] for name in columns] for row in rows]
		numbers = [self.column(name)[0] for name in columns]
		self.data = [row for row in self.data if [row.get(number) for number in numbers] not in gone]
		self.snapshots.append(self.data)

	def delete(self, where):
		"""Takes away the rows that meet all of the conditions."""
		numbers = {name: number for number, name, _ in self.columns}
		self.data = [row for row in self.data if not all(holds(row.get(numbers[name]), self.kinds[name], op, values)
			for name, op, *values in where)]
		self.snapshots.append(self.data)

	def update(self, values, where):
		numbers = {name: number for number, name, _ in self.columns}
		new = {numbers[name]: value for name, value in values.items()}
		self.data = [{**row, **new} if all(holds(row.get(numbers[name]), self.kinds[name], op, given) for name, op, *given in where) else row
			for row in self.data]
		self.snapshots.append(self.data)

	def merge(self, rows):
		key, new = self.column("id")[0], self.numbered(rows)
		self.data = [row for row in self.data if row[key] not in [other[key] for other in new]] + new
		self.snapshots.append(self.data)

	def add(self, name, kind):
		if "." in name:
			outer, inner = name.split(".")
			column = self.column(outer)
			column[2] = ("struct", column[2][1] + ((inner, kind),))
		else:
			self.columns.append([self.take(("column", len(self.ids))), name, kind])

	def promote(self, name, kind):
		self.column(name)[2] = kind

	def rename(self, name, new):
		self.column(name)[1] = new

	def drop(self, name):
		self.columns.remove(self.column(name))

	def first(self, name):
		column = self.column(name)
		self.columns.remove(column)
		self.columns.insert(0, column)

	def spec(self, partition):
		self.by_spec.append(0)
		self.spec_of(partition)

	def spec_of(self, partition):
		"""Partition fields in Iceberg's JSON; one source and transform keeps its id."""
		known = {(f["source-id"], f["transform"]): f["field-id"] for spec in self.specs for f in spec}
		spec = []
		for transform, name in partition:
			source = self.column(name)[0]
			number = known.setdefault((source, transform), 1000 + len(known))
			label = name if transform == "identity" else "%s_%s" % (name, transform.split("[")[0])
			spec.append({"source-id": source, "field-id": number, "name": label, "transform": transform})
		self.specs.append(spec)

	def type_json(self, kind, key):
		if isinstance(kind, str):
			return kind.replace("(5)", "[5]").replace(",", ", ")
		if kind[0] == "list":
			return {"type": "list", "element-id": self.take(key + ("e",)), "element": self.type_json(kind[1], key + ("e",)),
				"element-required": False}
		if kind[0] == "map":
			return {"type": "map", "key-id": self.take(key + ("k",)), "key": self.type_json(kind[1], key + ("k",)),
				"value-id": self.take(key + ("v",)), "value": self.type_json(kind[2], key + ("v",)), "value-required": False}
		return {"type": "struct", "fields": [{"id": self.take(key + (name,)), "name": name, "required": False,
			"type": self.type_json(inner, key + (name,))} for name, inner in kind[1]]}

	def schema_json(self):
		return {"type": "struct", "schema-id": 0, "fields": [{"id": number, "name": name, "required": name in self.required,
			"type": self.type_json(kind, (number,))} for number, name, kind in self.columns]}

	def metadata_json(self):
		"""A metadata.json of the table without snapshots."""
		schema = self.schema_json()
		return {"format-version": 2, "table-uuid": "00000000-0000-4000-8000-000000000000", "location": "nowhere",
			"last-sequence-number": 0, "last-updated-ms": 0, "last-column-id": len(self.ids), "current-schema-id": 0,
			"schemas": [schema], "default-spec-id": len(self.specs) - 1, "last-partition-id": 1999,
			"partition-specs": [{"spec-id": i, "fields": spec} for i, spec in enumerate(self.specs)],
			"default-sort-order-id": 0, "sort-orders": [{"order-id": 0, "fields": []}], "properties": {}, "snapshots": []}

	def rows(self, snapshot=None, where=(), ref=None):
		data = self.snapshots[snapshot] if snapshot is not None else self.refs[ref] if ref is not None else self.data
		rows = [{name: complete(row.get(number), kind) for number, name, kind in self.columns} for row in data]
		return [row for row in rows if all(holds(row[name], self.kinds[name], op, values) for name, op, *values in where)]


def replay(table):
	model = Model(table)
	for step in table.steps:
		model.step(*step)
	return model


def single(value):
	"""A float's value as its four bytes hold it."""
	return struct.unpack("f", struct.pack("f", value))[0]


def complete(value, kind):
	"""A described value as a reader gives it: floats exact, absent members null, maps in the order of their keys."""
	if value is None:
		return None
	if isinstance(kind, str):
		if kind == "float" and not isinstance(value, str):
			return single(value)
		return float(value) if kind == "double" and not isinstance(value, str) else value
	if kind[0] == "list":
		return [complete(item, kind[1]) for item in value]
	if kind[0] == "map":
		return sorted([complete(k, kind[1]), complete(v, kind[2])] for k, v in value)
	return {name: complete(value.get(name), inner) for name, inner in kind[1]}


def holds(value, kind, op, values):
	if op in ("is null", "is not null"):
		return (value is None) == (op == "is null")
	if value is None:
		return False
	if kind.startswith("decimal"):
		value, values = decimal.Decimal(value), [decimal.Decimal(v) for v in values]
	if op == "in":
		return value in values
	other = values[0]
	return {"=": value == other, "<>": value != other, "<": value < other, "<=": value <= other, ">": value > other,
		">=": value >= other}[op]


def canonical(rows):
	return sorted(json.dumps(row, sort_keys=True) for row in rows)
