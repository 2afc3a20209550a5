"""The matrix writer x reader x feature: tests/interop/matrix.tsv says which cells there are and what each must give.

    python3 tests/interop/matrix.py run quick|full TOOL RESULTS   every cell of the set, and what came of each as NDJSON
    python matrix.py write ENGINE FOLDER TOOL                     the engine's part of a run, in its own interpreter
    python matrix.py read ENGINE FOLDER TOOL WRITER...

TOOL is matrix_tool. matrix.tsv has the columns feature, writer, reader, test (this file's function) and expect: `yes`; `no: TEXT`
where the writer or the reader cannot, TEXT being of its own error; `wrong: TEXT` where an engine gives an answer that the others
show to be wrong. A cell that is missing in the list, is listed twice, was not run, or came out otherwise is a failure.
"""
import json
import os
import subprocess
import sys
import tempfile

from matrix_tables import FEATURES, TABLES, canonical, replay

HERE = os.path.dirname(os.path.abspath(__file__))
FULL = ("weir", "pyiceberg", "duckdb", "spark", "trino")
# quick needs no Java: DuckDB writes through a REST catalog only, for which full starts the reference server.
SETS = {"quick": (("weir", "pyiceberg"), FULL[:3]), "full": (FULL, FULL)}
PYTHON = os.path.join(HERE, "..", "peers", "python", "python")


def short(error):
	return " ".join(("%s: %s" % (type(error).__name__, error)).split())[:500]


# ---- one engine's part ----

def engine_of(name, folder, tool):
	from matrix_engines import ENGINES, Catalog
	catalog = Catalog(folder, tool)
	return ENGINES[name](catalog), catalog


def write(name, folder, tool):
	"""Makes every table in the engine's own namespace; what failed goes to written.ndjson with the engine's words."""
	engine, _ = engine_of(name, folder, tool)
	try:
		for table in TABLES.values():
			error = None
			try:
				engine.write("%s.%s" % (name, table.name), table)
			except Exception as problem:  # an engine's refusal is a result
				error = short(problem)
			note(folder, "written", {"writer": name, "table": table.name, "error": error})
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


# These write what is deleted into delete files or vectors; PyIceberg, and weir in format 2, write the rows that stay anew.
MERGES = {("weir", 3), ("duckdb", 2), ("duckdb", 3), ("spark", 2), ("spark", 3), ("trino", 2), ("trino", 3)}


def compare_deletes(engine, catalog, name, feature, model):
	"""That the writer left delete files and not new data files, then the rows."""
	if (name.split(".")[0], model.version) in MERGES and not any(file["deletes"] for file in catalog.files(name)):
		raise Wrong("the table has no delete files")
	return compare_rows(engine, catalog, name, feature, model)


def compare_travel(engine, catalog, name, feature, model):
	"""Each snapshot, in the columns that the reader gives: the snapshot's own or today's."""
	compared, count = 0, len(model.snapshots)
	for i, number in enumerate(catalog.snapshots(name)[-count:]):  # some engines make an empty one at creation
		found = [{column: row.get(column) for column in model.kinds} for row in engine.rows(name, model.kinds, snapshot=number)]
		compared += same(found, model.rows(snapshot=i), "snapshot %d" % i)
	return compared


CHECKS = {"rows": compare_rows, "specs": compare_specs, "deletes": compare_deletes, "travel": compare_travel}


def read(name, folder, tool, writers):
	engine, catalog = engine_of(name, folder, tool)
	note(folder, "versions", engine.version)
	failed = {(n["writer"], n["table"]): n["error"] for n in notes(folder, "written")}
	try:
		for feature in FEATURES:
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

def command(name):
	return [PYTHON, {"pyiceberg": "iceberg"}.get(name, name)] if name in ("pyiceberg", "duckdb") else [sys.executable]


def part(verb, name, folder, tool, *more, **environment):
	done = subprocess.run(command(name) + [os.path.abspath(__file__), verb, name, folder, tool, *more], capture_output=True, text=True,
		env={**os.environ, **environment})
	if done.returncode != 0:
		print("FAILED matrix: %s could not %s at all: %s" % (name, verb, (done.stdout + done.stderr)[-1500:].strip()))


def duckdb_writes(folder, tool):
	"""DuckDB commits to REST catalogs: the reference server over the same file is one."""
	from engines import free_port, start
	script = os.path.join(HERE, "..", "peers", "rest", "rest")
	try:
		url = start(script, os.path.join(folder, "control.db"), os.path.join(folder, "warehouse"), PORT=free_port())
		part("write", "duckdb", folder, tool, WEIR_REST=url)
	except RuntimeError as error:
		print("FAILED matrix: duckdb could not write: %s" % error)
	finally:
		subprocess.run([script, "stop"])


def listed(writers, readers):
	"""The cells of matrix.tsv of these writers and readers, and what is wrong with the list itself."""
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
	for feature in FEATURES:
		problems += ["is not listed: %s, %s, %s" % (feature.name, w, r) for w in FULL for r in FULL
			if (feature.name, w, r) not in cells]
	problems += ["has no test that runs it: %s, %s, %s" % key for key in cells if key[0] not in tests]
	return {key: expect for key, expect in cells.items() if key[1] in writers and key[2] in readers}, problems


def run(writers, readers, tool, results):
	with tempfile.TemporaryDirectory(prefix="weir-matrix-") as folder:
		for name in writers:
			if name == "duckdb":
				duckdb_writes(folder, tool)
			else:
				part("write", name, folder, tool)
		for name in readers:
			part("read", name, folder, tool, *writers)
		found = {(c["feature"], c["writer"], c["reader"]): c for c in notes(folder, "cells")}
		for version in notes(folder, "versions"):
			print("peer  " + version)
	cells, problems = listed(writers, readers)
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
	if len(arguments) == 4 and arguments[0] == "run" and arguments[1] in SETS:
		sys.exit(1 if run(*SETS[arguments[1]], os.path.abspath(arguments[2]), arguments[3]) else 0)
	if len(arguments) == 4 and arguments[0] == "write":
		return write(*arguments[1:])
	if len(arguments) > 4 and arguments[0] == "read":
		return read(*arguments[1:4], arguments[4:])
	sys.exit(__doc__)


if __name__ == "__main__":
	main()
