"""Another engine's writer for the soak: engine_writer.py pyiceberg|duckdb|spark URL JOURNAL SEED SECONDS.

It appends, updates and deletes batches as weir's own writers do (tests/soak/soak_writer.c), each operation one commit through the REST
catalog; what the catalog refuses because somebody else was first is tried again. After an answer that leaves open whether it
happened, it looks.
"""
import json
import os
import random
import re
import subprocess
import sys
import time

from journal import Journal, rows_of

kind, url, path, seed, seconds = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5])
TRIES = 30
LOST_RACE = r"(?i)CommitFailed|conflict|Requirement failed|has changed|assert-ref|branch main|ValidationException|Missing required files|found new|Cannot commit"
MISSING = r"(?i)FileNotFound|No such file|Cannot open file"  # of a version that expired while the engine worked on it


class Pyiceberg:
	def __init__(self):
		import pyarrow
		from pyiceberg.catalog import load_catalog
		self.pyarrow, self.catalog = pyarrow, load_catalog("weir", type="rest", uri=url)

	def rows(self, batch, version):
		count = rows_of(batch)
		return self.pyarrow.table({"writer": [kind] * count, "batch": [batch] * count, "row": list(range(count)), "version": [version] * count})

	def run(self, op, batch, version):
		table = self.catalog.load_table("ns." + kind)
		mine = "writer == '%s' and batch == %d" % (kind, batch)
		if op == "append":
			table.append(self.rows(batch, 0))
		elif op == "update":
			table.overwrite(self.rows(batch, version + 1), mine)
		else:
			table.delete(mine)

	def version(self, batch):
		found = self.catalog.load_table("ns." + kind).scan("writer == '%s' and batch == %d" % (kind, batch)).to_arrow()["version"].to_pylist()
		return found[0] if found else -1


class Sql:
	def run(self, op, batch, version):
		if op == "append":
			self.ask("INSERT INTO %s VALUES %s" % (self.table, ", ".join("('%s', %d, %d, 0)" % (kind, batch, row) for row in range(rows_of(batch)))))
		elif op == "update":
			self.ask("UPDATE %s SET version = %d WHERE writer = '%s' AND batch = %d" % (self.table, version + 1, kind, batch))
		else:
			self.ask("DELETE FROM %s WHERE writer = '%s' AND batch = %d" % (self.table, kind, batch))

	def version(self, batch):
		found = self.ask("SELECT max(version) AS v FROM %s WHERE writer = '%s' AND batch = %d" % (self.table, kind, batch))
		return -1 if found is None else found


class Duckdb(Sql):
	def __init__(self):
		import peer
		self.table, self.connection = "w.ns." + kind, peer.connect()

	def ask(self, sql):
		self.connection.execute("ATTACH '' AS w (TYPE iceberg, ENDPOINT '%s', AUTHORIZATION_TYPE 'none')" % url)
		try:
			answer = self.connection.execute(sql).fetchall()
			return answer[0][0] if answer else None
		finally:
			self.connection.execute("DETACH w")


class Spark(Sql):
	def __init__(self):
		self.table = "weir.ns." + kind
		self.script = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "peers", "spark", "spark")
		subprocess.run([self.script, "start", "rest=" + url, "spark.sql.catalog.weir.cache-enabled=false"], check=True, stdout=subprocess.DEVNULL)

	def ask(self, sql):
		done = subprocess.run([self.script, "sql", sql], capture_output=True, text=True)
		answer = json.loads(done.stdout)
		if not answer["ok"]:
			raise RuntimeError(answer["error"])
		return next(iter(answer["rows"][0].values()), None) if answer["rows"] else None

	def stop(self):
		subprocess.run([self.script, "stop"], capture_output=True)


def perform(engine, journal, op, batch, version):
	"""DONE or VOID. An error may come after the commit: so the table is asked before anything is tried again."""
	after = -1 if op == "delete" else version + 1
	for _ in range(TRIES):
		try:
			engine.run(op, batch, version)
			return "DONE"
		except Exception as error:
			text = "%s: %s" % (type(error).__name__, error)
			print(op, batch, text[:600], flush=True)
			if not re.search(LOST_RACE, text) and not re.search(MISSING, text):
				raise
			if engine.version(batch) == after:
				return "DONE"
			journal.say("RETRY", journal.next)
			time.sleep(random.random() * 0.3)
	return "VOID"


def main():
	engine = {"pyiceberg": Pyiceberg, "duckdb": Duckdb, "spark": Spark}[kind]()
	random.seed(seed)
	end = time.time() + seconds
	try:
		while time.time() < end:
			journal = Journal(path)
			alive, number = journal.alive(), journal.next
			op = "append" if len(alive) < 5 else "delete" if len(alive) > 40 else random.choice(["append", "append", "update", "delete"])
			batch = number if op == "append" else random.choice(sorted(alive))
			journal.say("BEGIN", number, op, batch)
			journal.say(perform(engine, journal, op, batch, alive.get(batch, -1)), number)
			time.sleep(random.uniform(0.1, 0.6))
	finally:
		if kind == "spark":
			engine.stop()


main()
