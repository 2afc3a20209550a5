"""A lake for other engines to judge: weir makes it, changes its consent and serves it, and says what its rows are.

Rows are dictionaries of plain values, the same whoever read them: moments are microseconds since 1970, binary is base64, UUIDs
are text, maps are sorted pairs, doubles are exact. Nothing but Python's library is needed.
"""
import base64
import datetime
import hashlib
import json
import os
import re
import shutil
import subprocess
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLES = ("bronze.telemetry", "bronze.dead_letters", "silver.telemetry", "gold.athlete_data", "history.athlete_data",
	"audit.access")
ATHLETES, EVENTS, PARTS = 30, 20000, 16
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)


def moment(value):
	"""Microseconds since 1970 of a datetime (naive: UTC), an RFC 3339 text, or Trino's '2025-02-01 08:00:00.25 UTC'."""
	if isinstance(value, str):
		text = re.sub(r"( UTC|Z)$", "+00:00", value).replace(" ", "T", 1)
		text = re.sub(r"\.(\d+)", lambda m: "." + m[1].ljust(6, "0"), text)
		value = datetime.datetime.fromisoformat(text)
	if isinstance(value, datetime.datetime):
		value = (value.replace(tzinfo=value.tzinfo or datetime.timezone.utc) - EPOCH) // MICROSECOND
	return value


def plain(value, kind):
	"""A peer's value of a column that weir calls `kind`."""
	if value is None:
		return None
	if kind.startswith("TIMESTAMP"):
		return moment(value)
	if kind == "UUID":
		return str(uuid.UUID(bytes=value) if isinstance(value, bytes) else value)
	if kind == "BLOB":
		return base64.b64encode(value).decode() if isinstance(value, bytes) else "".join(value.split())
	if kind.startswith("MAP"):
		return sorted([k, v] for k, v in (value.items() if isinstance(value, dict) else value))
	if kind in ("DOUBLE", "FLOAT"):
		return float(value)
	return value


def canonical(rows):
	return sorted(json.dumps(row, sort_keys=True) for row in rows)


def checksum(rows):
	"""The same for the same rows in any order, with every value of every column in it."""
	return hashlib.sha256("\n".join(canonical(rows)).encode()).hexdigest()[:16]


def difference(here, there):
	"""Where two lists of rows part: counts, and the columns of the first pair with one event id. Never a value."""
	text = "%d rows against %d" % (len(here), len(there))
	key = next((k for k in ("event_id", "trace_id", "at") if there and k in there[0]), None)
	known = {json.dumps([row.get(key), row.get("purpose")]): row for row in there}
	for row in here:
		other = known.get(json.dumps([row.get(key), row.get("purpose")]))
		if other is None:
			return text + "; one has a %s that weir lacks" % key
		columns = [k for k in sorted(set(row) | set(other)) if row.get(k) != other.get(k)]
		if columns:
			return text + "; first difference in %s" % ", ".join(columns)
	return text


class Lake:
	"""lakes/athlete with small files, so that twenty thousand events give gold files of both partition specs."""

	def __init__(self, program, folder):
		self.program = os.path.abspath(program)
		self.folder = os.path.join(folder, "lake")
		self.data = os.path.join(folder, "data")
		self.catalog = os.path.join(self.data, "control.db")
		self.warehouse = os.path.join(self.data, "warehouse")
		self.scratch = folder
		self.kinds = {}
		self.server = None

	def weir(self, *arguments):
		"""What the program prints; its own words where it fails."""
		done = subprocess.run([self.program, *arguments, "--data", self.data], capture_output=True, text=True)
		if done.returncode != 0:
			raise RuntimeError("weir %s: %s" % (" ".join(arguments[:2]), (done.stderr + done.stdout[-2000:]).strip()))
		return done.stdout

	def ingest(self, part):
		"""Sends a file in. It exits with 1 where it refused an event, as it must with some of these."""
		done = subprocess.run([self.program, "ingest", self.folder, part, "--data", self.data], capture_output=True, text=True)
		assert done.returncode in (0, 1) and " accepted, " in done.stdout, done.stderr

	def json(self, *arguments):
		return json.loads(self.weir(*arguments, "--json"))

	def make(self):
		shutil.copytree(os.path.join(ROOT, "lakes", "athlete"), self.folder)
		config = os.path.join(self.folder, "lake.yaml")
		with open(config) as file:
			text, count = re.subn(r"files: \{target: [^}]*\}", "files: {target: 1MiB, own_partition_from: 8KiB}", file.read())
		assert count == 1, "lakes/athlete/lake.yaml names no target size of gold's files"
		with open(config, "w") as file:
			file.write(text)
		rules, events = os.path.join(self.scratch, "rules.ndjson"), os.path.join(self.scratch, "events.ndjson")
		self.weir("gen", self.folder, "--athletes", str(ATHLETES), "--events", str(EVENTS), "--rules", rules, "--out", events)
		self.weir("consent", "put", self.folder, rules)
		with open(events) as file:
			lines = file.readlines()
		step = -(-len(lines) // (PARTS + 1))
		self.parts = []
		for start in range(0, len(lines), step):
			self.parts.append(os.path.join(self.scratch, "part-%02d.ndjson" % (start // step)))
			with open(self.parts[-1], "w") as file:
				file.writelines(lines[start:start + step])
		for part in self.parts[:PARTS]:  # the last comes later, beside other writers
			self.ingest(part)

	def types(self, table):
		"""Column names and weir's types."""
		if table not in self.kinds:
			found = json.loads(self.weir("sql", self.folder, "describe %s" % table, "--format", "json", "--as", "auditor"))
			self.kinds[table] = {row["column_name"]: row["column_type"] for row in found["rows"]}
		return self.kinds[table]

	def rows(self, table, condition="true"):
		text = self.weir("sql", self.folder, "select * from %s where %s" % (table, condition), "--format", "json", "--as", "auditor")
		kinds = self.types(table)
		return [{name: plain(value, kinds[name]) for name, value in row.items()} for row in json.loads(text)["rows"]]

	def files(self, table):
		return self.json("files", self.folder, table)["files"]

	def snapshots(self, table):
		return self.json("snapshots", self.folder, table)["snapshots"]

	def locations(self):
		"""Table -> the file of its current metadata."""
		return {"%s.%s" % (t["namespace"], t["name"]): t["metadata"] for t in self.json("tables", self.folder)["tables"]}

	def withdraw(self, subject, purpose):
		self.weir("consent", "withdraw", self.folder, subject, purpose)

	def grant_again(self, subject):
		"""Posts the subject's present rules once more: newer than the withdrawal, they permit again."""
		now = json.loads(self.weir("consent", "get", self.folder, subject))
		path = os.path.join(self.scratch, "again.ndjson")
		with open(path, "w") as file:
			for rule in now["rules"]:
				rule = {k: v for k, v in rule.items() if k not in ("version", "lsn")}
				file.write(json.dumps({"userId": subject, **rule}) + "\n")
		self.weir("consent", "put", self.folder, path)

	def serve(self):
		"""Runs the server until `stop`; the program's other commands then go through it."""
		self.server = subprocess.Popen(
			[self.program, "serve", self.folder, "--data", self.data, "--listen", "127.0.0.1:0"],
			stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
		line = self.server.stdout.readline()
		assert "is served at" in line, "the server did not start: %s" % line

	def stop(self):
		if self.server is not None:
			self.server.terminate()
			code = self.server.wait(timeout=30)
			self.server = None
			assert code == 0, "the server ended with %d" % code
