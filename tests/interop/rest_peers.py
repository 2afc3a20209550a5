"""Clients of the Iceberg REST catalog against `weir catalog`: they create, write, evolve, read and drop, and see what they must.

    python3 tests/interop/rest_peers.py PROGRAM PEER      PEER: pyiceberg, duckdb, spark, trino or kit

PROGRAM is weir; pyiceberg and duckdb need their own interpreter (tests/peers/python), the others any. A line a step: `ok`, or FAILED, which
also makes the exit code 1. kit is Iceberg's REST compatibility kit, with both of its optional properties.
"""
import csv
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(os.path.dirname(HERE), "peers")
KIT_LEAST = 144  # what Iceberg's own reference server passes without the optional properties


class Catalog:
	"""`weir catalog` on a folder of its own, while the block runs."""

	def __init__(self, program, scratch):
		self.data = os.path.join(scratch, "catalog")
		self.command = [program, "catalog", "--data", self.data]
		self.log = open(os.path.join(scratch, "catalog.log"), "w+")

	def __enter__(self):
		self.process = subprocess.Popen(self.command + ["--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=self.log, text=True)
		line = self.process.stdout.readline()
		found = re.search(r"http://\S+/iceberg", line)
		if not found:
			raise RuntimeError("weir catalog did not start: " + line + open(self.log.name).read())
		self.url = found.group(0)
		return self

	def __exit__(self, *error):
		self.process.terminate()
		status = self.process.wait(20)
		if status != 0:
			print("FAILED weir catalog ended with", status)

	def ask(self, method, path, body=None, headers=None):
		data = json.dumps(body).encode() if body is not None else None
		request = urllib.request.Request(self.url + "/v1/" + path, data, headers or {}, method=method)
		try:
			with urllib.request.urlopen(request, timeout=30) as answer:
				text = answer.read()
				return answer.status, json.loads(text) if text else None, answer.headers
		except urllib.error.HTTPError as error:
			text = error.read()
			return error.code, json.loads(text) if text else None, error.headers

	def metadata(self, namespace, table):
		return self.ask("GET", "namespaces/%s/tables/%s" % (namespace, table))[1]["metadata"]


class GovernedLake:
	"""The athlete lake, served, with events and rules; `token` is a consumer's for research, `rows` what weir's own SQL counts there."""

	def __init__(self, program, scratch):
		self.program, self.scratch = program, scratch
		self.source = os.path.join(os.path.dirname(os.path.dirname(HERE)), "lakes", "athlete")
		self.data = os.path.join(scratch, "lake")

	def run(self, *words):
		done = subprocess.run([self.program, *words, "--data", self.data], capture_output=True, text=True)
		if done.returncode not in (0, 1):  # 1: some of the events were bad, as asked for
			raise RuntimeError(" ".join(words) + ": " + done.stderr)
		return done.stdout

	def __enter__(self):
		rules, events = os.path.join(self.scratch, "rules.ndjson"), os.path.join(self.scratch, "events.ndjson")
		self.run("gen", self.source, "--athletes", "10", "--events", "2000", "--days", "3", "--rules", rules, "--out", events)
		self.process = subprocess.Popen([self.program, "serve", self.source, "--data", self.data, "--listen", "127.0.0.1:0"],
			stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
		try:
			self.fill(rules, events)
		except Exception:
			self.__exit__()
			raise
		return self

	def fill(self, rules, events):
		self.url = re.search(r"http://\S+", self.process.stdout.readline()).group(0) + "/iceberg"
		self.run("consent", "put", self.source, rules)
		self.run("ingest", self.source, events)
		made = self.run("token", "create", self.source, "--role", "consumer", "--consumer", "lab", "--purpose", "research", "--json")
		self.token = json.loads(made)["token"]
		counted = self.run("sql", self.source, "SELECT count(*) AS n FROM gold.athlete_data WHERE purpose = 'research'", "--format", "ndjson")
		self.rows = int(json.loads(counted)["n"])

	def __exit__(self, *error):
		self.process.terminate()
		self.process.wait(20)


class Steps:
	failed = 0

	def check(self, name, found, expected):
		if found == expected:
			print("ok    ", name, flush=True)
		else:
			self.failed += 1
			print("FAILED %s: found %r, expected %r" % (name, found, expected), flush=True)

	def refused(self, name, pattern, call, *arguments):
		try:
			call(*arguments)
		except Exception as error:
			self.check(name, bool(re.search(pattern, type(error).__name__ + " " + str(error))), True)
			return
		self.check(name, "it went through", pattern)


# ---- PyIceberg ----

def pyiceberg(catalog, steps):
	import pyarrow as pa
	from pyiceberg.catalog import load_catalog
	from pyiceberg.types import DoubleType
	peer = load_catalog("weir", type="rest", uri=catalog.url)
	peer.create_namespace("ns", {"owner": "peer"})
	peer.create_namespace(("a", "b"))
	steps.check("namespaces of two levels", (sorted(peer.list_namespaces()), peer.list_namespaces("a")), ([("a",), ("ns",)], [("a", "b")]))
	steps.check("properties", peer.load_namespace_properties("ns"), {"owner": "peer"})
	table = peer.create_table("ns.t", schema=pa.schema([("id", pa.int64()), ("text", pa.string())]))
	table.append(pa.table({"id": [1, 2, 3], "text": ["a", "b", None]}))
	rows = lambda name: sorted((tuple(row.values()) for row in peer.load_table(name).scan().to_arrow().to_pylist()), key=repr)
	steps.check("append and scan", rows("ns.t"), [(1, "a"), (2, "b"), (3, None)])
	with table.update_schema() as update:
		update.add_column("more", DoubleType())
		update.rename_column("text", "word")
	with table.update_spec() as update:
		update.add_identity("word")
	table.append(pa.table({"id": [4], "word": ["d"], "more": [0.5]}))
	table.delete("id = 1")
	steps.check("evolved schema and spec, delete", rows("ns.t"), [(2, "b", None), (3, None, None), (4, "d", 0.5)])
	first = table.history()[0].snapshot_id
	table.manage_snapshots().create_tag(first, "first").create_branch(first, "side").commit()
	steps.check("tag and branch", sorted(catalog.metadata("ns", "t")["refs"]), ["first", "main", "side"])
	steps.check("time travel", table.scan(snapshot_id=first).to_arrow().num_rows, 3)
	stale, other = peer.load_table("ns.t"), peer.load_table("ns.t")
	other.append(pa.table({"id": [5], "word": ["e"], "more": [1.0]}))
	steps.refused("a stale schema change is refused", "CommitFailed", lambda: (
		peer.load_table("ns.t").update_schema().add_column("new", DoubleType()).commit(),
		stale.update_schema().add_column("late", DoubleType()).commit()))
	with peer.create_table_transaction("ns.staged", schema=table.schema()) as transaction:
		transaction.set_properties(made="staged")
	steps.check("staged creation", peer.load_table("ns.staged").properties.get("made"), "staged")
	steps.refused("a table twice", "TableAlreadyExists", peer.create_table, "ns.staged", table.schema())
	peer.rename_table("ns.staged", "a.b.moved")
	steps.check("rename", (peer.list_tables("ns"), peer.list_tables(("a", "b"))), ([("ns", "t")], [("a", "b", "moved")]))
	location = peer.load_table("ns.t").metadata_location
	peer.drop_table("ns.t")
	again = peer.register_table("ns.back", location)
	steps.check("dropped and registered", again.scan().to_arrow().num_rows, 4)
	folder = peer.load_table("ns.back").location()[len("file://"):]
	peer.purge_table("ns.back")
	left = [name for _, _, names in os.walk(folder) for name in names if not name.startswith(".")]
	steps.check("purge leaves no data file", [name for name in left if name.endswith(".parquet")], [])
	steps.refused("a namespace that is not empty", "NamespaceNotEmpty", peer.drop_namespace, ("a", "b"))
	steps.refused("no such table", "NoSuchTable", peer.load_table, "ns.nothing")
	peer.drop_table("a.b.moved")
	peer.drop_namespace(("a", "b"))
	peer.drop_namespace("ns")
	steps.check("all gone", peer.list_namespaces(), [])


def pyiceberg_governed(lake, steps):
	from pyiceberg.catalog import load_catalog
	for how in ({"token": lake.token}, {"credential": "id:" + lake.token}):
		peer = load_catalog("weir", type="rest", uri=lake.url, **how)
		steps.check("a consumer lists gold alone (%s)" % next(iter(how)), peer.list_namespaces(), [("gold",)])
		table = peer.load_table("gold.athlete_data")
		found = table.scan().to_arrow()["purpose"].to_pylist()
		steps.check("its slice of gold", (len(found), set(found)), (lake.rows, {"research"}))
		steps.check("earlier versions are not in it", len(table.metadata.snapshots), 1)
		steps.refused("silver is not its", "Forbidden", peer.load_table, "silver.telemetry")
		steps.refused("it changes nothing", "Forbidden", lambda: table.transaction().set_properties(a="b").commit_transaction())
	operator = load_catalog("weir", type="rest", uri=lake.url)
	steps.check("the operator sees all of gold", operator.load_table("gold.athlete_data").scan().to_arrow().num_rows > lake.rows, True)
	steps.refused("history is the auditor's", "auditor", operator.load_table, "history.athlete_data")
	steps.refused("the operator does not drop gold", "change by events and consent alone", operator.drop_table, "gold.athlete_data")
	steps.refused("nor make a table there", "change by events and consent alone", operator.create_table, "gold.mine", table.schema())


# ---- DuckDB ----

def duckdb(catalog, steps):
	import peer
	connection = peer.connect()
	connection.execute("ATTACH '' AS w (TYPE iceberg, ENDPOINT '%s', AUTHORIZATION_TYPE 'none')" % catalog.url)

	def rows(sql):
		return connection.execute(sql).fetchall()

	for sql in ("CREATE SCHEMA w.d", "CREATE TABLE w.d.t (id BIGINT, word VARCHAR)", "INSERT INTO w.d.t VALUES (1, 'a'), (2, 'b'), (3, 'c')"):
		rows(sql)
	steps.check("created and inserted", rows("SELECT * FROM w.d.t ORDER BY id"), [(1, "a"), (2, "b"), (3, "c")])
	rows("UPDATE w.d.t SET word = 'z' WHERE id = 2")
	rows("DELETE FROM w.d.t WHERE id = 3")
	steps.check("update and delete", rows("SELECT * FROM w.d.t ORDER BY id"), [(1, "a"), (2, "z")])
	rows("CREATE TABLE w.d.many AS SELECT range AS id, range::VARCHAR AS word FROM range(1000)")
	steps.check("create as select", rows("SELECT count(*), sum(id) FROM w.d.many"), [(1000, 499500)])
	for sql in ("BEGIN", "INSERT INTO w.d.t VALUES (9, 'n')", "INSERT INTO w.d.many VALUES (9000, 'n')", "COMMIT"):
		rows(sql)
	steps.check("two tables in one transaction", rows("SELECT (SELECT count(*) FROM w.d.t), (SELECT count(*) FROM w.d.many)"), [(3, 1001)])
	for sql in ("BEGIN", "INSERT INTO w.d.t VALUES (10, 'n')", "ROLLBACK"):
		rows(sql)
	steps.check("a rollback leaves nothing", rows("SELECT count(*) FROM w.d.t"), [(3,)])
	rows("MERGE INTO w.d.t USING (SELECT 1 AS id, 'm' AS word UNION ALL SELECT 50, 'q') u ON t.id = u.id"
		" WHEN MATCHED THEN UPDATE SET word = u.word WHEN NOT MATCHED THEN INSERT VALUES (u.id, u.word)")
	steps.check("merge", rows("SELECT * FROM w.d.t ORDER BY id"), [(1, "m"), (2, "z"), (9, "n"), (50, "q")])
	rows("CREATE TABLE w.d.three (id BIGINT) WITH ('format-version' = '3')")
	rows("INSERT INTO w.d.three SELECT range FROM range(7)")
	metadata = catalog.metadata("d", "three")
	steps.check("version 3 with row ids", (metadata["format-version"], metadata["next-row-id"]), (3, 7))
	atomic(catalog, steps)
	no_lost_update(catalog, steps)
	for table in ("t", "many", "three"):
		rows("DROP TABLE w.d.%s" % table)
	rows("DROP SCHEMA w.d")
	steps.check("all gone", catalog.ask("GET", "namespaces")[1]["namespaces"], [])


def duckdb_governed(lake, steps):
	import peer
	connection = peer.connect()
	connection.execute("CREATE SECRET weir (TYPE iceberg, TOKEN '%s')" % lake.token)
	connection.execute("ATTACH '' AS w (TYPE iceberg, ENDPOINT '%s', SECRET weir)" % lake.url)
	found = connection.execute("SELECT purpose, count(*) FROM w.gold.athlete_data GROUP BY purpose").fetchall()
	steps.check("a consumer's slice of gold", found, [("research", lake.rows)])
	steps.refused("silver is not its", "", lambda: connection.execute("SELECT count(*) FROM w.silver.telemetry").fetchall())


def atomic(catalog, steps):
	"""A transaction with one requirement that does not hold changes none of its tables."""
	before = [catalog.metadata("d", table)["last-updated-ms"] for table in ("t", "many")]
	change = lambda table, uuid: {"identifier": {"namespace": ["d"], "name": table}, "requirements": [{"type": "assert-table-uuid", "uuid": uuid}],
		"updates": [{"action": "set-properties", "updates": {"half": "done"}}]}
	good = catalog.metadata("d", "t")["table-uuid"]
	status, answer, _ = catalog.ask("POST", "transactions/commit", {"table-changes": [change("t", good), change("many", good)]})
	after = [catalog.metadata("d", table)["last-updated-ms"] for table in ("t", "many")]
	steps.check("a transaction is all or nothing", (status, answer["error"]["type"], after), (409, "CommitFailedException", before))


def no_lost_update(catalog, steps):
	"""Writers beside each other, each commit without a requirement: the catalog applies it to the newest version, and loses none."""
	def write(writer):
		for number in range(20):
			update = {"requirements": [], "updates": [{"action": "set-properties", "updates": {"w%d-%d" % (writer, number): "x"}}]}
			if catalog.ask("POST", "namespaces/d/tables/many", update)[0] != 200:
				return
	threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
	for thread in threads:
		thread.start()
	for thread in threads:
		thread.join()
	steps.check("four writers lose no update", sum(key.startswith("w") and "-" in key for key in catalog.metadata("d", "many")["properties"]), 80)


# ---- Spark and Trino ----

class Script:
	def __init__(self, script, *start):
		self.script = os.path.join(PEERS, script, script)
		done = subprocess.run([self.script, "start", *start], capture_output=True, text=True)
		if done.returncode != 0:
			raise RuntimeError("%s: %s" % (script, done.stderr[-1500:]))

	def ask(self, sql):
		done = subprocess.run([self.script, "sql", sql], capture_output=True, text=True, timeout=300)
		if done.returncode != 0:
			raise RuntimeError((done.stdout + done.stderr)[-1500:])
		return done.stdout

	def stop(self):
		subprocess.run([self.script, "stop"], capture_output=True)


def spark(catalog, steps):
	peer = Script("spark", "rest=" + catalog.url)
	try:
		jvm_steps(catalog, steps, SPARK, lambda sql: [[str(cell) for cell in row.values()] for row in json.loads(peer.ask(sql)).get("rows", [])])
	finally:
		peer.stop()


def trino(catalog, steps):
	peer = Script("trino", "weir:iceberg.catalog.type=rest,iceberg.rest-catalog.uri=%s,fs.hadoop.enabled=true" % catalog.url)
	try:
		jvm_steps(catalog, steps, TRINO, lambda sql: list(csv.reader(io.StringIO(peer.ask(sql)))))
	finally:
		peer.stop()


SPARK = {
	"space": "CREATE NAMESPACE weir.s", "drop space": "DROP NAMESPACE weir.s",
	"create": "CREATE TABLE weir.s.t (id BIGINT, word STRING) USING iceberg PARTITIONED BY (bucket(4, id)) TBLPROPERTIES ('format-version' = '2',"
		" 'write.delete.mode' = 'merge-on-read', 'write.update.mode' = 'merge-on-read')",
	"as": "CREATE TABLE weir.s.c USING iceberg AS SELECT id, CAST(id AS STRING) AS word FROM range(100)",
	"add": "ALTER TABLE weir.s.t ADD COLUMN more DOUBLE", "rename column": "ALTER TABLE weir.s.t RENAME COLUMN word TO text",
	"spec": "ALTER TABLE weir.s.t ADD PARTITION FIELD truncate(2, text)",
	"upgrade": "ALTER TABLE weir.s.c SET TBLPROPERTIES ('format-version' = '3')",
}
TRINO = {
	"space": "CREATE SCHEMA weir.s", "drop space": "DROP SCHEMA weir.s",
	"create": "CREATE TABLE weir.s.t (id BIGINT, word VARCHAR) WITH (partitioning = ARRAY['bucket(id, 4)'])",
	"as": "CREATE TABLE weir.s.c AS SELECT id, CAST(id AS VARCHAR) AS word FROM UNNEST(sequence(0, 99)) AS s (id)",
	"add": "ALTER TABLE weir.s.t ADD COLUMN more DOUBLE", "rename column": "ALTER TABLE weir.s.t RENAME COLUMN word TO text",
	"spec": "ALTER TABLE weir.s.t SET PROPERTIES partitioning = ARRAY['bucket(id, 4)', 'truncate(text, 2)']",
	"upgrade": "ALTER TABLE weir.s.c SET PROPERTIES format_version = 3",
}


def jvm_steps(catalog, steps, words, rows):
	rows(words["space"])
	rows(words["create"])
	rows("INSERT INTO weir.s.t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
	steps.check("created and inserted", rows("SELECT * FROM weir.s.t ORDER BY id"), [["1", "a"], ["2", "b"], ["3", "c"]])
	rows("UPDATE weir.s.t SET word = 'z' WHERE id = 2")
	rows("DELETE FROM weir.s.t WHERE id = 3")
	steps.check("update and delete", rows("SELECT * FROM weir.s.t ORDER BY id"), [["1", "a"], ["2", "z"]])
	for step in ("add", "rename column", "spec"):
		rows(words[step])
	rows("INSERT INTO weir.s.t VALUES (4, 'dd', 0.5)")
	steps.check("evolved schema and spec", rows("SELECT id, text FROM weir.s.t WHERE more IS NOT NULL"), [["4", "dd"]])
	steps.check("two specs", len(catalog.metadata("s", "t")["partition-specs"]) > 1, True)
	rows("MERGE INTO weir.s.t t USING (SELECT CAST(1 AS BIGINT) AS id, 'm' AS text) u ON t.id = u.id WHEN MATCHED THEN UPDATE SET text = u.text")
	steps.check("merge", rows("SELECT text FROM weir.s.t WHERE id = 1"), [["m"]])
	rows(words["as"])
	steps.check("create as select", rows("SELECT count(*), sum(id) FROM weir.s.c"), [["100", "4950"]])
	rows(words["upgrade"])
	rows("DELETE FROM weir.s.c WHERE id < 10")
	steps.check("version 3", (catalog.metadata("s", "c")["format-version"], rows("SELECT count(*) FROM weir.s.c")), (3, [["90"]]))
	rows("CREATE VIEW weir.s.v AS SELECT id, text FROM weir.s.t WHERE id > 1")
	steps.check("a view", rows("SELECT count(*) FROM weir.s.v"), [["2"]])
	rows("CREATE OR REPLACE VIEW weir.s.v AS SELECT id FROM weir.s.t")
	steps.check("a view replaced", rows("SELECT count(*) FROM weir.s.v"), [["3"]])
	steps.check("its versions", len(catalog.ask("GET", "namespaces/s/views/v")[1]["metadata"]["versions"]), 2)
	rows("ALTER TABLE weir.s.c RENAME TO s.moved")
	steps.check("rename", rows("SELECT count(*) FROM weir.s.moved"), [["90"]])
	steps.refused("no such table", "(?i)cannot be found|does not exist", rows, "SELECT * FROM weir.s.c")
	rows("DROP VIEW weir.s.v")
	rows("DROP TABLE weir.s.moved")
	rows("DROP TABLE weir.s.t")
	rows(words["drop space"])
	steps.check("all gone", catalog.ask("GET", "namespaces")[1]["namespaces"], [])


# ---- the kit ----

def kit(catalog, steps):
	# The kit asks for a view's metadata in a temporary folder; the catalog writes within its warehouse alone.
	folder = os.path.join(catalog.data, "warehouse", "kit")
	os.makedirs(folder)
	wishes = "-Drck.requires-namespace-create=true -Drck.supports-names-with-dot=true -Djava.io.tmpdir=" + folder
	done = subprocess.run([os.path.join(PEERS, "rest", "rest"), "kit", catalog.url], capture_output=True, text=True, timeout=900,
		env={**os.environ, "RCK": wishes})
	count = lambda what: int((re.search(r"\[ *(\d+) tests %s" % what, done.stdout) or [0, "-1"])[1])
	for line in done.stdout.splitlines():
		passed = re.search(r"─ (\w+\([^)]*\)) ✔", line)
		if passed:
			print("ok    ", passed.group(1))
	# A class that cannot start counts as no failure: so what passed is counted, and compared with what the reference passes.
	if count("successful") < KIT_LEAST:
		print(done.stdout[-3000:], done.stderr[-2000:])
	steps.check("at least the reference's %d pass (%d did)" % (KIT_LEAST, count("successful")), count("successful") >= KIT_LEAST, True)
	steps.check("none fails", [line.strip() for line in done.stdout.splitlines() if "✘" in line], [])


def main():
	program, name = sys.argv[1:3]
	steps = Steps()
	start = time.time()
	with tempfile.TemporaryDirectory(prefix="weir-rest-") as scratch, Catalog(os.path.abspath(program), scratch) as catalog:
		{"pyiceberg": pyiceberg, "duckdb": duckdb, "spark": spark, "trino": trino, "kit": kit}[name](catalog, steps)
	governed = {"pyiceberg": pyiceberg_governed, "duckdb": duckdb_governed}.get(name)
	if governed:
		with tempfile.TemporaryDirectory(prefix="weir-rest-") as scratch, GovernedLake(os.path.abspath(program), scratch) as lake:
			governed(lake, steps)
	print("%s: %.0f s" % (name, time.time() - start))
	return 1 if steps.failed else 0


if __name__ == "__main__":
	sys.exit(main())
