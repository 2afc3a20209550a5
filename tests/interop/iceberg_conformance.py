"""Makes tests/data/iceberg.tsv: weir's rows of every table of the conformance data, held against DuckDB's.

Usage: tests/peers/python/python duckdb tests/interop/iceberg_conformance.py PATH_OF_test_iceberg_conformance [--write]

Each metadata file is scanned by both; rows are compared one by one. A file that differs is named with its first difference;
what DuckDB is known to do otherwise is in KNOWN, with the reason. Without --write, weir's answer must also be the listed one: a line
`ok` or FAILED a file. WEIR_DATA: default ../shared/data.
"""
import datetime
import decimal
import os
import subprocess
import sys
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "peers", "python"))
DATA = os.path.join(os.environ.get("WEIR_DATA", os.path.join(ROOT, "..", "shared", "data")),
	"D_conformance", "duckdb-iceberg-tables")
TABLE = os.path.join(ROOT, "tests", "data", "iceberg.tsv")
EPOCH = datetime.datetime(1970, 1, 1)
MICRO = datetime.timedelta(microseconds=1)

# A part of the path, and why weir's answer stands where DuckDB gives another or none.
KNOWN = []


def cell(value, kind):
	if value is None:
		return "null"
	if isinstance(value, bool):
		return "true" if value else "false"
	if isinstance(value, float):
		return "%.17g" % value
	if isinstance(value, decimal.Decimal):
		return format(value, "f")
	if isinstance(value, datetime.datetime):
		if value.tzinfo is not None:
			value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
		return str((value - EPOCH) // MICRO)
	if isinstance(value, datetime.date):
		return str((value - EPOCH.date()).days)
	if isinstance(value, datetime.time):
		return str(((value.hour * 60 + value.minute) * 60 + value.second) * 1000000 + value.microsecond)
	if isinstance(value, (bytes, bytearray, memoryview)):
		return bytes(value).hex()
	if isinstance(value, dict):
		if kind.startswith("MAP"):
			return "[" + ",".join(cell(k, "") + "=" + cell(v, "") for k, v in value.items()) + "]"
		return "{" + ",".join(cell(v, "") for v in value.values()) + "}"
	if isinstance(value, (list, tuple)):
		return "[" + ",".join(cell(v, "") for v in value) + "]"
	if isinstance(value, uuid.UUID):
		return str(value)
	return str(value)


def print_rows(path):
	import peer
	connection = peer.connect()
	connection.execute("SET TimeZone = 'UTC'")
	folder, version = os.path.split(path)
	version = version.removesuffix(".metadata.json")
	if version[0] == "v" and os.path.exists(path):
		version = version[1:]
	cursor = connection.execute("SELECT * FROM iceberg_scan(?, allow_moved_paths = true, version = ?)",
		[os.path.dirname(folder), version])
	kinds = [str(column[1]) for column in cursor.description]
	rows = sorted("\t".join(cell(v, k) for v, k in zip(row, kinds)).encode() for row in cursor.fetchall())
	sys.stdout.buffer.write(b"".join(row + b"\n" for row in rows))


def duckdb_rows(path):
	"""In a process of its own, as some tables stop DuckDB altogether."""
	run = subprocess.run([sys.executable, __file__, "--rows", path], capture_output=True)
	if run.returncode != 0:
		lines = run.stderr.decode(errors="replace").strip().replace(DATA, "").split("\n")
		text = next((line for line in reversed(lines) if "Error" in line or "what()" in line), lines[-1])
		raise RuntimeError(" ".join(text.split())[:150])
	return run.stdout.split(b"\n")[:-1]


def metadata_files():
	for folder, _, names in os.walk(DATA):
		for name in names:
			if name.endswith(".metadata.json"):
				yield os.path.relpath(os.path.join(folder, name), DATA)


def judge(program, path):
	"""(weir's answer, what DuckDB says of it)"""
	out = subprocess.run([program, DATA, "rows", path], capture_output=True, check=True, cwd=ROOT).stdout
	lines = out.split(b"\n")[:-1]
	answer = lines.pop().decode().split("\t", 1)[1]
	try:
		theirs = duckdb_rows(os.path.join(DATA, path))
	except Exception as error:  # whatever it refuses, and why, is for the table
		return answer, "DuckDB: " + str(error)
	if theirs == lines:
		return answer, "DuckDB: the same"
	first = next((i for i, (a, b) in enumerate(zip(lines, theirs)) if a != b), min(len(lines), len(theirs)))
	return answer, "DIFFERS: DuckDB has %d rows; row %d: weir %r, DuckDB %r" % (
		len(theirs), first, lines[first:first + 1], theirs[first:first + 1])


def listed():
	"""Path -> weir's answer, of the table."""
	with open(TABLE) as table:
		return {path: answer for path, answer in (line.split("\t", 1) for line in table if not line.startswith("#"))
			for answer in ["\t".join(answer.split("\t")[:2])]}


def main():
	if sys.argv[1] == "--rows":
		print_rows(sys.argv[2])
		return 0
	program = os.path.abspath(sys.argv[1])
	if not os.path.isdir(DATA):
		print("skipped: there are no tables at %s; WEIR_DATA names another folder" % DATA)
		return 0
	rows, bad, known = [], 0, listed()
	for path in sorted(metadata_files()):
		answer, verdict = judge(program, path)
		reason = next((why for part, why in KNOWN if part in path), None)
		if reason is not None and not verdict.endswith("the same"):
			verdict = reason
		wrong = verdict.startswith("DIFFERS") or (verdict.endswith("the same") and not answer[0].isdigit())
		if "--write" not in sys.argv and answer != known.pop(path, None):
			wrong, verdict = True, "tests/data/iceberg.tsv has another answer; " + verdict
		print("%s%s: %s; %s" % ("FAILED " if wrong else "ok  ", path, answer, verdict))
		bad += wrong
		rows.append("%s\t%s\t%s\n" % (path, answer, verdict))
	print("%d metadata files, %d differ" % (len(rows), bad))
	if "--write" in sys.argv:
		with open(TABLE, "w") as table:
			table.write("# metadata file, rows, digest (or error, text), what another engine says; by iceberg_conformance.py\n")
			table.writelines(rows)
	return 1 if bad else 0


if __name__ == "__main__":
	sys.exit(main())
