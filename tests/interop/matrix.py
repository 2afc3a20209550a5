"""The matrix writer x reader x feature: tests/interop/matrix.tsv says which cells there are and what each must give.

    python3 tests/interop/matrix.py run quick|full GROUP TOOL WEIR RESULTS   every cell of the set, and what came of each as NDJSON
    python matrix.py write ENGINE GROUP FOLDER TOOL                          the engine's part of a run, in its own interpreter
    python matrix.py read ENGINE GROUP FOLDER TOOL WRITER...

GROUP is one of matrix_tables.GROUPS; TOOL is matrix_tool. matrix.tsv has the columns feature, writer, reader, test (this file's
function) and expect: `yes`; `no: TEXT` where the writer or the reader cannot, TEXT being of its own error; `wrong: TEXT` where an
engine gives an answer that the others show to be wrong. A cell that is missing in the list, is listed twice, was not run, or
came out otherwise is a failure.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile

from matrix_tables import FEATURES, GROUPS, TABLES, canonical, replay

HERE = os.path.dirname(os.path.abspath(__file__))
FULL = ("weir", "pyiceberg", "duckdb", "spark", "trino")
# quick needs no Java: DuckDB writes through a REST catalog only, for which full starts the reference server beside a catalog file.
SETS = {"quick": (FULL[:2], FULL[:3]), "full": (FULL, FULL)}
PEERS = os.path.join(os.path.dirname(HERE), "peers")
PYTHON = os.path.join(PEERS, "python", "python")


def short(error):
	return " ".join(("%s: %s" % (type(error).__name__, error)).split())[:500]


# ---- one engine's part ----

def engine_of(name, folder, tool):
	from matrix_engines import ENGINES, Place
	place = Place(folder, tool)
	return ENGINES[name](place), place


def features_of(group):
	return [feature for feature in FEATURES if feature.group == group]


def write(name, group, folder, tool):
	"""Makes every table in the engine's own namespace; what failed goes to written.ndjson with the engine's words."""
	engine, _ = engine_of(name, folder, tool)
	try:
		for table in dict.fromkeys(feature.table for feature in features_of(group)):
			error = None
			try:
				engine.write("%s.%s" % (name, table), TABLES[table])
			except Exception as problem:  # an engine's refusal is a result
				error = short(problem)
			note(folder, "written", {"writer": name, "table": table, "error": error})
	finally:
		engine.stop()


def note(folder, file, line):
	with open(os.path.join(folder, file + ".ndjson"), "a") as out:
		out.write(json.dumps(line) + "\n")


def notes(folder, file):
	path = os.path.join(folder, file + ".ndjson")
	if not os.path.exists(path):
		return []
	with open(path) as lines:
		return [json.loads(line) for line in lines]


class Wrong(Exception):
	pass


def same(found, expected, what):
	if canonical(found) != canonical(expected):
		a, b = set(canonical(found)), set(canonical(expected))
		raise Wrong("%s: %d rows against %d; %s against %s" % (what, len(found), len(expected), sorted(a - b)[:1], sorted(b - a)[:1]))
	return len(expected)


def compare_rows(engine, catalog, name, feature, model):
	"""All rows, then those of each filter."""
	compared = 0 if feature.only_filters else same(engine.rows(name, model.kinds), model.rows(), "all rows")
	for where in feature.filters:
		what = " and ".join(" ".join(map(str, term)) for term in where)
		compared += same(engine.rows(name, model.kinds, where=where), model.rows(where=where), "where " + what)
	return compared


def compare_specs(engine, catalog, name, feature, model):
	"""Which rows are under which spec, then the rows."""
	found = sorted(engine.by_spec(name).values())
	if found != sorted(model.by_spec):
		raise Wrong("rows by partition spec: %s against %s" % (found, sorted(model.by_spec)))
	return compare_rows(engine, catalog, name, feature, model)


# These write what is deleted into delete files or vectors; PyIceberg writes the rows that stay anew.
MERGES = {("weir", 2), ("weir", 3), ("duckdb", 2), ("duckdb", 3), ("spark", 2), ("spark", 3), ("trino", 2), ("trino", 3)}


def compare_deletes(engine, catalog, name, feature, model):
	"""That the writer left delete files and not new data files, then the rows."""
	if (name.split(".")[0], model.version) in MERGES and not any(file["deletes"] for file in catalog.files(name)):
		raise Wrong("the table has no delete files")
	return compare_rows(engine, catalog, name, feature, model)


def compare_travel(engine, catalog, name, feature, model):
	"""Each snapshot, in the columns that the reader gives: the snapshot's own or today's."""
	return compare_versions(engine, catalog, name, model, "snapshot", 0)


def compare_times(engine, catalog, name, feature, model):
	"""The same, asked for by the time of each."""
	return compare_versions(engine, catalog, name, model, "time", 1)


def compare_versions(engine, catalog, name, model, word, which):
	compared, count = 0, len(model.snapshots)
	for i, known in enumerate(catalog.snapshots(name)[-count:]):  # some engines make an empty one at creation
		found = [{column: row.get(column) for column in model.kinds} for row in engine.rows(name, model.kinds, **{word: known[which]})]
		compared += same(found, model.rows(snapshot=i), "%s %d" % (word, i))
	return compared


def compare_refs(engine, catalog, name, feature, model):
	"""Main, then each branch and tag by its name."""
	compared = compare_rows(engine, catalog, name, feature, model)
	for ref in model.refs:
		compared += same(engine.rows(name, model.kinds, ref=ref), model.rows(ref=ref), ref)
	return compared


CHECKS = {"rows": compare_rows, "specs": compare_specs, "deletes": compare_deletes, "travel": compare_travel, "times": compare_times,
	"refs": compare_refs}


def read(name, group, folder, tool, writers):
	engine, catalog = engine_of(name, folder, tool)
	note(folder, "versions", engine.version)
	failed = {(n["writer"], n["table"]): n["error"] for n in notes(folder, "written")}
	try:
		for feature in features_of(group):
			model = replay(TABLES[feature.table])
			for writer in writers:
				error = failed.get((writer, feature.table), "the writer did not run")
				cell = {"feature": feature.name, "writer": writer, "reader": name}
				if error is not None:
					note(folder, "cells", {**cell, "result": "no", "detail": "writing: " + error})
					continue
				try:
					compared = CHECKS[feature.check](engine, catalog, "%s.%s" % (writer, feature.table), feature, model)
					note(folder, "cells", {**cell, "result": "yes", "detail": "%d rows" % compared})
				except Wrong as problem:
					note(folder, "cells", {**cell, "result": "wrong", "detail": str(problem)[:600]})
				except Exception as problem:  # an engine's refusal is a result
					note(folder, "cells", {**cell, "result": "no", "detail": "reading: " + short(problem)})
	finally:
		engine.stop()


# ---- the run ----

def left_deletes(group, folder, tool):
	"""Where a table is to have delete files of one kind, its writer must have left such and no others: noted as if it had said so."""
	from matrix_engines import Place
	place = Place(folder, tool)
	for said in notes(folder, "written"):
		kind, counts = TABLES[said["table"]].deletes, {}
		if kind is None or said["error"] is not None:
			continue
		for file in place.files("%s.%s" % (said["writer"], said["table"])):
			for other in ("positions", "vectors", "equalities"):
				counts[other] = counts.get(other, 0) + file[other]
		if not counts.get(kind) or sum(counts.values()) != counts[kind]:
			left = ", ".join("%d deletes of its data files are %s" % (count, other) for other, count in counts.items() if count)
			note(folder, "written", {**said, "error": "its deletion left no %s: %s" % (kind, left or
				"it wrote the rows that stay into new data files")})


def command(name):
	return [PYTHON, {"pyiceberg": "iceberg"}.get(name, name)] if name in ("pyiceberg", "duckdb") else [sys.executable]


def part(verb, name, group, folder, tool, *more, **environment):
	done = subprocess.run(command(name) + [os.path.abspath(__file__), verb, name, group, folder, tool, *more], capture_output=True, text=True,
		env={**os.environ, **environment})
	if done.returncode != 0:
		print("FAILED matrix: %s could not %s at all: %s" % (name, verb, (done.stdout + done.stderr)[-1500:].strip()))


class Files:
	"""Where the tables of a run are (matrix_engines.Place), as a `with`. Each place says how DuckDB, which commits to REST catalogs only,
	comes to one over the same tables."""

	def __init__(self, folder, weir):
		self.folder, self.weir, self.process, self.server = folder, weir, None, None

	def __enter__(self):
		try:
			self.open()
		except BaseException:
			self.close()
			raise
		return self

	def __exit__(self, *_):
		self.close()

	def open(self):
		self.say(kind="files")

	def close(self):
		pass

	def say(self, **place):
		with open(os.path.join(self.folder, "place.json"), "w") as file:
			json.dump(place, file)

	def duckdb_writes(self, tool, group):
		"""The reference server, over the same catalog file."""
		from engines import free_port, start
		script = os.path.join(PEERS, "rest", "rest")
		try:
			url = start(script, os.path.join(self.folder, "control.db"), os.path.join(self.folder, "warehouse"), PORT=free_port())
			part("write", "duckdb", group, self.folder, tool, WEIR_REST=url)
		finally:
			subprocess.run([script, "stop"])

	def serve(self, *more, **environment):
		"""`weir catalog`, and its URL."""
		self.process = subprocess.Popen([self.weir, "catalog", "--data", self.folder, "--listen", "127.0.0.1:0", *more], text=True,
			stdout=subprocess.PIPE, stderr=open(os.path.join(self.folder, "catalog.log"), "w"), env={**os.environ, **environment})
		found = re.search(r"http://\S+/iceberg", self.process.stdout.readline())
		if not found:
			with open(os.path.join(self.folder, "catalog.log")) as log:
				raise RuntimeError("weir catalog did not start: " + log.read())
		return found.group(0)

	def unserve(self):
		if self.process is not None and self.process.poll() is None:
			self.process.terminate()
			if self.process.wait(30) != 0:
				print("FAILED weir catalog ended with %d" % self.process.returncode)


class Rest(Files):
	def open(self):
		self.say(kind="rest", rest=self.serve())

	close = Files.unserve

	def duckdb_writes(self, tool, group):
		part("write", "duckdb", group, self.folder, tool)


class S3(Files):
	script = os.path.join(PEERS, "s3", "s3")

	def open(self):
		from engines import free_port, start
		from s3_client import Client
		self.environment = {"PORT": free_port(), "DATA": os.path.join(self.folder, "minio")}
		self.keys = subprocess.run([self.script, "start", "minio"], check=True, capture_output=True, text=True,
			env={**os.environ, **self.environment}).stdout.split()[-3:]
		Client(*self.keys).make_bucket("matrix")
		self.say(kind="s3", s3=self.keys, bucket="matrix")

	def close(self):
		subprocess.run([self.script, "stop", "minio"], env={**os.environ, **self.environment})

	def duckdb_writes(self, tool, group):
		try:
			keys = dict(zip(("AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), self.keys))
			part("write", "duckdb", group, self.folder, tool, WEIR_REST=self.serve("--warehouse", "s3://matrix/warehouse", **keys))
		finally:
			self.unserve()


class Postgres(Files):
	def open(self):
		from postgres_peers import Server
		self.server = Server(self.folder)
		self.say(kind="postgres", port=self.server.port)

	def close(self):
		if self.server is not None:
			self.server.drop()

	def duckdb_writes(self, tool, group):
		try:
			part("write", "duckdb", group, self.folder, tool, WEIR_REST=self.serve("--control", self.server.url))
		finally:
			self.unserve()


PLACES = {"rest": Rest, "s3": S3, "postgres": Postgres}


def listed(writers, readers, group):
	"""The cells of matrix.tsv of these writers and readers and this group, and what is wrong with the list itself."""
	cells, problems = {}, []
	with open(os.path.join(HERE, "matrix.tsv")) as file:
		lines = [line.rstrip("\n").split("\t") for line in file if not line.startswith("#")]
	tests = {feature.name: "matrix.py:" + CHECKS[feature.check].__name__ for feature in FEATURES}
	for feature, writer, reader, test, expect in lines[1:]:
		key = (feature, writer, reader)
		if key in cells:
			problems.append("is listed twice: %s, %s, %s" % key)
		if feature in tests and test != tests[feature]:
			problems.append("names %s, but %s runs it: %s, %s, %s" % (test, tests[feature], *key))
		cells[key] = expect
	for feature in features_of(group):
		problems += ["is not listed: %s, %s, %s" % (feature.name, w, r) for w in FULL for r in FULL
			if (feature.name, w, r) not in cells]
	problems += ["has no test that runs it: %s, %s, %s" % key for key in cells if key[0] not in tests]
	mine = {feature.name for feature in features_of(group)}
	return {key: expect for key, expect in cells.items() if key[0] in mine and key[1] in writers and key[2] in readers}, problems


def run(name, group, tool, weir, results):
	writers, readers = SETS[name]
	if group in PLACES:
		writers = dict.fromkeys((*writers, "duckdb"))  # by weir's own catalog: without Java
	with tempfile.TemporaryDirectory(prefix="weir-matrix-") as folder, PLACES.get(group, Files)(folder, weir) as place:
		for name in writers:
			if name != "duckdb":
				part("write", name, group, folder, tool)
				continue
			try:
				place.duckdb_writes(tool, group)
			except RuntimeError as error:  # there is no catalog that it could write to
				for table in dict.fromkeys(feature.table for feature in features_of(group)):
					note(folder, "written", {"writer": "duckdb", "table": table, "error": short(error)})
		left_deletes(group, folder, tool)
		for name in readers:
			part("read", name, group, folder, tool, *writers)
		found = {(c["feature"], c["writer"], c["reader"]): c for c in notes(folder, "cells")}
		for version in notes(folder, "versions"):
			print("peer  " + version)
	cells, problems = listed(writers, readers, group)
	for problem in problems:
		print("FAILED matrix.tsv: a cell " + problem)
	failed = len(problems)
	for key, expect in cells.items():
		cell = found.get(key)
		verdict, _, text = expect.partition(": ")
		if cell is None:
			print("FAILED %s, %s -> %s: the cell was not run" % key)
		elif cell["result"] != verdict or text not in cell["detail"]:
			print("FAILED %s, %s -> %s: %s %s (listed: %s)" % (*key, cell["result"], cell["detail"], expect))
		else:
			print("ok  %s, %s -> %s: %s" % (*key, expect if verdict != "yes" else cell["detail"]))
			continue
		failed += 1
	with open(results, "w") as out:
		for cell in found.values():
			out.write(json.dumps(cell) + "\n")
	return failed


def main():
	arguments = sys.argv[1:]
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server is left behind
	if len(arguments) == 6 and arguments[0] == "run" and arguments[1] in SETS and arguments[2] in GROUPS:
		sys.exit(1 if run(*arguments[1:3], *map(os.path.abspath, arguments[3:5]), arguments[5]) else 0)
	if len(arguments) == 5 and arguments[0] == "write":
		return write(*arguments[1:])
	if len(arguments) > 5 and arguments[0] == "read":
		return read(*arguments[1:5], arguments[5:])
	sys.exit(__doc__)


if __name__ == "__main__":
	main()
