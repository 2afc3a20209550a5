"""Another engine reads a whole lake and must see what weir sees: every row of every table, before and after consent changes.

    python3 tests/interop/lake_peers.py PROGRAM PEER [--results FILE]    PEER: pyiceberg, duckdb, spark or trino
    python3 tests/interop/lake_peers.py --table FILE                     what the runs found, as Markdown

PROGRAM is weir; pyiceberg and duckdb need their own interpreter (tests/peers/python), the others any. A line a feature: `ok`; `no`
where the engine cannot do it, with its own words; FAILED where the two differ, which also makes the exit code 1.
"""
import json
import re
import sys
import tempfile
import time

from engines import ENGINES
from lake import TABLES, Lake, checksum, difference, moment

GOLD, HISTORY, SILVER = "gold.athlete_data", "history.athlete_data", "silver.telemetry"
SUBJECT, PURPOSE = "athlete-000002", "research"
GUARD = ("this namespace belongs to weir, which alone may change its tables: go through weir (its REST catalog or the weir command), "
	"or write tables in a namespace of your own")
MIDDLE = moment("2025-02-03T12:00:00Z")

# What is asked, how an engine says it, what it must give.
FILTERS = (
	("a partition of both specs", lambda e: "purpose = 'coaching'", lambda r: r["purpose"] == "coaching"),
	("partitions of one spec", lambda e: "purpose = 'research' AND activity = 'cycling'",
		lambda r: r["purpose"] == "research" and r["activity"] == "cycling"),
	("a time within day partitions", lambda e: "%s >= %s" % (e.name("timestamp"), e.time("2025-02-03 12:00:00")),
		lambda r: r["timestamp"] >= MIDDLE),
	("a null partition value", lambda e: "event_context IS NULL", lambda r: r["event_context"] is None),
	("a value that is not null", lambda e: "event_context IS NOT NULL", lambda r: r["event_context"] is not None),
	("the sort column", lambda e: "athlete_id = '%s'" % SUBJECT, lambda r: r["athlete_id"] == SUBJECT),
	("a double's range", lambda e: "heart_rate > 120 AND heart_rate <= 150.5",
		lambda r: r["heart_rate"] is not None and 120 < r["heart_rate"] <= 150.5),
	("nothing at all", lambda e: "heart_rate > 10000", lambda r: False),
)


class Differs(Exception):
	pass


def need(holds, text):
	if not holds:
		raise Differs(text)


class Run:
	def __init__(self, lake, engine):
		self.lake, self.engine, self.results, self.seen = lake, engine, [], {}

	def feature(self, name, check, *arguments):
		start = time.time()
		try:
			result, detail = "ok", check(*arguments)
		except NotImplementedError as error:
			result, detail = "no", str(error)
		except Exception as error:
			result, detail = "FAILED", "%s: %s" % (type(error).__name__, error)
		detail = " ".join(str(detail).replace(self.lake.scratch, "DIR").split())[:600]
		self.results.append({"feature": name, "result": result, "detail": detail})
		print("%-6s %s: %s (%.1f s)" % (result, name, detail, time.time() - start), flush=True)

	# ---- reading ----

	def catalog(self):
		found = self.engine.tables()
		need(sorted(found) == sorted(TABLES), "found %s" % ", ".join(sorted(found)))
		return "%d tables" % len(found)

	def names(self):
		"""Trino opens a metadata file by its name's form; the quick set has no Trino, but sees the names."""
		paths = self.lake.locations()
		for table, path in paths.items():
			need(re.fullmatch(r"\d+-[-a-fA-F0-9]+\.metadata\.json", path.rsplit("/", 1)[1]), "%s: %s" % (table, path))
		return "%d tables" % len(paths)

	def same_rows(self, table, step):
		expected = self.lake.rows(table)
		found = self.engine.rows(table)
		if table == "audit.access":  # grows with each look at it
			newest = max(row["at"] for row in expected)
			found = [row for row in found if row["at"] <= newest]
		need(checksum(found) == checksum(expected), difference(found, expected))
		self.seen[table, step] = expected
		return "%d rows, checksum %s" % (len(found), checksum(found))

	def types(self):
		"""That the comparison was not of nulls alone: each type of weir's has values, and columns that can be null have both."""
		values, nulls = {}, 0
		for table in TABLES:
			for row in self.seen[table, "made"]:
				for name, value in row.items():
					kind = self.lake.types(table)[name]
					values[kind] = values.get(kind, 0) + (value is not None and value != [])
					nulls += value is None
		need(nulls > 0 and all(values.values()), "nothing was compared of %s" % [k for k, n in values.items() if n == 0])
		for kind in ("UUID", "TIMESTAMP WITH TIME ZONE", "BLOB", "MAP(VARCHAR, VARCHAR)", "DOUBLE", "BIGINT", "INTEGER", "BOOLEAN"):
			need(values.get(kind), "no column of %s" % kind)
		return ", ".join("%s %d" % (kind.lower(), n) for kind, n in sorted(values.items())) + "; nulls %d" % nulls

	def steady(self, table, ask):
		"""Weir's files of a table and what an engine says of them, of one version: compaction may come between the two."""
		for _ in range(6):
			files = self.lake.files(table)
			found = ask(table)
			if self.lake.files(table) == files:
				break
		return files, found

	def both_specs(self):
		files, found = self.steady(GOLD, self.engine.rows_by_spec)
		expected = {}
		for file in files:
			expected[file["spec_id"]] = expected.get(file["spec_id"], 0) + file["rows"]
		need(set(expected) == {0, 1}, "weir made files of specs %s only" % sorted(expected))
		need(found == expected, "%s against %s" % (found, expected))
		return "spec 0: %d rows, spec 1: %d rows, %d files" % (found[0], found[1], len(files))

	def files(self):
		total = 0
		for table in TABLES:
			if table == "audit.access" or not self.lake.files(table):
				continue
			files, found = self.steady(table, self.engine.files)
			expected = {re.sub("^file:/*", "/", file["path"]): file["rows"] for file in files}
			need(found == expected, "%s: %d files against %d" % (table, len(found), len(expected)))
			total += len(found)
		return "%d data files, their paths and row counts" % total

	def snapshots(self):
		expected = {int(snapshot["snapshot_id"]) for snapshot in self.lake.snapshots(SILVER)}
		found = self.engine.snapshots(SILVER)
		need(found == expected, "%d against %d" % (len(found), len(expected)))
		return "%d snapshots of %s" % (len(found), SILVER)

	def time_travel(self):
		snapshots = sorted(self.lake.snapshots(SILVER), key=lambda s: s["sequence_number"])
		picked = [snapshots[0], snapshots[len(snapshots) // 2], snapshots[-1]]
		counts = [self.engine.count_at(SILVER, snapshot) for snapshot in picked]
		expected = [int(snapshot["summary"]["total-records"]) for snapshot in picked]
		need(counts == expected and len(set(counts)) > 1, "%s against %s" % (counts, expected))
		return "first, middle and last snapshot: %s rows" % ", ".join(map(str, counts))

	def partitions(self):
		try:
			files, found = self.steady(GOLD, self.engine.partitions)
		except Exception as error:
			if "does not exist" in str(error):
				raise NotImplementedError(str(error).split("\n")[0]) from error
			raise
		need(found == (sum(f["rows"] for f in files), len(files)), "%s against %d files" % (found, len(files)))
		return "%d rows in %d files" % found

	def filters(self, label, condition, test):
		expected = [row for row in self.seen[GOLD, "made"] if test(row)]
		need(bool(expected) == (label != "nothing at all"), "the lake has no such row, so nothing is compared")
		found = self.engine.rows(GOLD, condition)
		if label == "a UUID" and not found and hasattr(self.engine, "rows_by_text"):
			found = self.engine.rows_by_text(GOLD, "event_id", expected[0]["event_id"])
			need(checksum(found) == checksum(expected), difference(found, expected))
			raise NotImplementedError("it finds nothing and gives no error; trim(event_id) = '...' finds the %d rows" % len(found))
		need(checksum(found) == checksum(expected), difference(found, expected))
		return "%d rows" % len(found)

	def filters_all(self):
		rows = self.seen[GOLD, "made"]
		one = rows[len(rows) // 2]["event_id"]
		context = "cadence"
		some = next(dict(r["raw_metrics"])[context] for r in rows if r["raw_metrics"] and context in dict(r["raw_metrics"]))
		more = (
			("a UUID", lambda e: "event_id = %s" % e.uuid(one), lambda r: r["event_id"] == one),
			("a map's entry", lambda e: "%s = '%s'" % (e.entry("raw_metrics", context), some),
				lambda r: dict(r["raw_metrics"] or ()).get(context) == some),
		)
		for label, condition, test in FILTERS + more:
			self.feature("filter by " + label, self.filters, label, condition, test)

	# ---- consent ----

	def withdrawn(self):
		before = {t: self.seen[t, "made"] for t in (GOLD, HISTORY)}
		gone = [r for r in before[GOLD] if r["athlete_id"] == SUBJECT and r["purpose"] == PURPOSE]
		need(gone, "the subject has no row to withdraw")
		self.lake.withdraw(SUBJECT, PURPOSE)
		details = [self.same_rows(table, "withdrawn") for table in TABLES]
		after = {t: self.seen[t, "withdrawn"] for t in (GOLD, HISTORY)}
		need(len(after[GOLD]) == len(before[GOLD]) - len(gone), "gold has %d rows" % len(after[GOLD]))
		need(len(after[HISTORY]) == len(before[HISTORY]) + len(gone), "history has %d rows" % len(after[HISTORY]))
		need(not [r for r in self.engine.rows(GOLD, FILTERS[5][1]) if r["purpose"] == PURPOSE], "gold still has rows of the subject")
		return "%d rows went from gold to history; gold %s; history %s" % (len(gone), details[3], details[4])

	def granted(self):
		self.lake.grant_again(SUBJECT)
		details = [self.same_rows(table, "granted") for table in TABLES]
		back = len(self.seen[GOLD, "granted"]) - len(self.seen[GOLD, "withdrawn"])
		need(len(self.seen[GOLD, "granted"]) == len(self.seen[GOLD, "made"]) and back > 0, "%d rows came back" % back)
		need(len(self.seen[HISTORY, "granted"]) == len(self.seen[HISTORY, "withdrawn"]), "history changed")
		return "%d rows are in gold again; gold %s" % (back, details[3])

	# ---- writing, beside a running server ----

	def refused(self, action):
		before = self.lake.snapshots(GOLD)[-1]["snapshot_id"], self.lake.locations()[GOLD]
		try:
			action(GOLD)
		except NotImplementedError:
			raise
		except Exception as error:
			need(GUARD in str(error), "refused, but with %s" % error)
		else:
			raise Differs("weir's table was changed")
		after = self.lake.snapshots(GOLD)[-1]["snapshot_id"], self.lake.locations()[GOLD]
		need(before == after, "the table moved from %s to %s" % (before, after))
		return '"%s"' % GUARD

	def own_table(self):
		self.engine.own_table()
		before = len(self.lake.rows("bronze.telemetry"))
		self.lake.ingest(self.lake.parts[-1])
		need(len(self.lake.rows("bronze.telemetry")) > before, "the server took no events beside it")
		expected = [(i, "ab"[i % 2], i / 8) for i in range(10, 100)] + [(100, None, None)]
		need(self.engine.own_rows() == expected, "%d rows of its own" % len(self.engine.own_rows()))
		return "theirs.things: created, two inserts, a delete, %d rows; weir took events meanwhile" % len(expected)

	def own_table_in_weir(self):
		if not any(r["feature"].startswith("creates and writes") and r["result"] == "ok" for r in self.results):
			raise NotImplementedError("it wrote none")
		try:
			text = self.lake.weir("sql", self.lake.folder, "select id, name, score from theirs.things", "--format", "json")
		except RuntimeError as error:
			raise NotImplementedError(str(error)) from error
		found = sorted((row["id"], row["name"], row["score"]) for row in json.loads(text)["rows"])
		need(found == self.engine.own_rows(), "%d rows" % len(found))
		return "%d rows" % len(found)

	def sound(self):
		text = self.lake.weir("check", self.lake.folder)
		need(text.strip().endswith("sound"), text)
		return "`weir check` says sound"

	def all(self):
		self.feature("opens the catalog file", self.catalog)
		self.feature("metadata files' names", self.names)
		for table in TABLES:
			self.feature("every row and column of " + table, self.same_rows, table, "made")
		self.feature("every type, with values and nulls", self.types)
		self.feature("files of both partition specs", self.both_specs)
		self.feature("lists the data files", self.files)
		self.feature("lists the snapshots", self.snapshots)
		self.feature("lists the partitions", self.partitions)
		self.feature("time travel", self.time_travel)
		self.filters_all()
		self.feature("after a withdrawal, every table", self.withdrawn)
		self.feature("after a new grant, every table", self.granted)
		self.lake.serve()
		for verb in ("append", "delete", "drop"):
			self.feature("may not %s weir's tables" % {"append": "append to", "delete": "delete from"}.get(verb, verb),
				self.refused, getattr(self.engine, verb))
		self.feature("creates and writes tables of its own", self.own_table)
		self.feature("weir reads the engine's own table", self.own_table_in_weir)
		for table in TABLES[:5]:
			self.feature("and then still every row of " + table, self.same_rows, table, "beside")
		self.lake.stop()
		self.feature("the lake is sound afterwards", self.sound)


def table_of(path):
	"""Markdown: a row a feature, a column an engine; the words of what an engine cannot do beneath."""
	with open(path) as file:
		runs = [json.loads(line) for line in file]
	runs = list({run["engine"]: run for run in runs}.values())
	names = list(dict.fromkeys(r["feature"] for run in runs for r in run["results"]))
	print("| | " + " | ".join(run["engine"] for run in runs) + " |")
	print("|---" * (len(runs) + 1) + "|")
	notes = []
	for name in names:
		cells = []
		for run in runs:
			found = next((r for r in run["results"] if r["feature"] == name), {"result": "", "detail": ""})
			cells.append("yes" if found["result"] == "ok" else found["result"])
			if found["result"] not in ("ok", ""):
				notes.append("- %s, %s: %s" % (run["engine"], name, found["detail"]))
		print("| %s | %s |" % (name, " | ".join(cells)))
	print("\n" + "\n".join(notes))


def main():
	if len(sys.argv) == 3 and sys.argv[1] == "--table":
		return table_of(sys.argv[2])
	if len(sys.argv) not in (3, 5) or sys.argv[2] not in ENGINES or (len(sys.argv) == 5 and sys.argv[3] != "--results"):
		sys.exit(__doc__)
	with tempfile.TemporaryDirectory(prefix="weir-interop-") as folder:
		lake = Lake(sys.argv[1], folder)
		lake.make()
		engine = ENGINES[sys.argv[2]](lake)
		print("peer  " + engine.version)
		run = Run(lake, engine)
		try:
			run.all()
		finally:
			lake.stop()
			engine.stop()
	if len(sys.argv) == 5:
		with open(sys.argv[4], "a") as file:
			file.write(json.dumps({"engine": engine.version, "results": run.results}) + "\n")
	results = [r["result"] for r in run.results]
	print("%s: %d ok, %d it cannot, %d failed" % (engine.version, results.count("ok"), results.count("no"), results.count("FAILED")))
	sys.exit(1 if "FAILED" in results else 0)


if __name__ == "__main__":
	main()
