"""Makes tests/data/parquet.tsv: weir's rows of every Parquet file of the conformance data, held against other readers.

Usage: python tests/interop/parquet_conformance.py PATH_OF_test_parquet_conformance [--write] [FILE...]

Readers: duckdb and pyarrow, as far as the interpreter has them, and hyparquet's expected rows, which lie beside its
files. Without --write it only compares, also with the table: a line `ok` or FAILED a file. A file that differs from a reader is
named with its first difference; what readers are known to do otherwise is in KNOWN, with the reason. WEIR_DATA: default
../shared/data.
"""
import datetime
import decimal
import json
import math
import os
import struct
import subprocess
import sys
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.environ.get("WEIR_DATA", os.path.join(ROOT, "..", "shared", "data"))
TABLE = os.path.join(ROOT, "tests", "data", "parquet.tsv")
EPOCH = datetime.datetime(1970, 1, 1)
MICRO = datetime.timedelta(microseconds=1)

# A part of the path, the reader (None: all), what is different and why weir's answer stands.
VARIANT = "decodes variants; weir gives the groups that hold them"
KNOWN = [
	("shredded", "DuckDB", VARIANT),
	("shredded", "hyparquet", VARIANT),
	("variant", "DuckDB", VARIANT),
	("adam_genotypes", "hyparquet", "orders the members of a struct otherwise"),
	("duckdb2557", "hyparquet", "an empty list as null"),
	("geo", "hyparquet", "decodes geometries; weir gives their WKB"),
	("int96_from_spark", "DuckDB", "the year 290000 overflows its nanoseconds"),
	("int96_from_spark", "pyarrow", "years past 2262 overflow its nanoseconds"),
	("nested_structs.rust", "DuckDB", "the same; Python has no year past 9999"),
]

# A part of the path of what weir refuses, and why that is right.
REFUSED = [
	("/bad_data/", "the file is damaged on purpose"),
	("corrupt-checksum", "the checksum of a page is wrong; readers that do not look read on"),
	(".encrypted", "weir reads files in the clear"),
	("large_string_map", "a page of 1 GiB; the limit is an option of the reader"),
]


class Differs(Exception):
	pass


def duckdb_rows(path):
	import duckdb
	connection = duckdb.connect()
	connection.execute("SET TimeZone = 'UTC'")
	cursor = connection.execute("SELECT * FROM read_parquet(?, hive_partitioning = false)", [path])
	names = [column[0] for column in cursor.description]
	return [dict(zip(names, row)) for row in cursor.fetchall()]


def micros(type_):
	"""The same Arrow type with microseconds: Python's times have no more digits."""
	import pyarrow as pa
	if pa.types.is_timestamp(type_):
		return pa.timestamp("us", type_.tz)
	if pa.types.is_time(type_):
		return pa.time64("us")
	return type_


def pyarrow_rows(path):
	import pyarrow as pa
	import pyarrow.parquet as pq
	table = pq.ParquetFile(path).read()
	columns = []
	for column in table.columns:
		wanted = micros(column.type)
		if pa.types.is_timestamp(wanted):  # as numbers: years past 9999 are no Python times
			numbers = column.cast(wanted, safe=False).cast(pa.int64()).to_pylist()
			columns.append([None if value is None else f"{value}us" for value in numbers])
		else:
			columns.append((column.cast(wanted, safe=False) if wanted != column.type else column).to_pylist())
	return [dict(zip(table.column_names, row)) for row in zip(*columns)] if columns else []


def hyparquet_rows(path):
	expected = path[:-len(".parquet")] + ".json"
	if "/hyparquet/" not in path or not os.path.exists(expected):
		return None
	with open(expected) as file:
		return json.load(file)


READERS = [("DuckDB", duckdb_rows), ("pyarrow", pyarrow_rows), ("hyparquet", hyparquet_rows)]


def as_float32(value):
	try:
		return struct.pack("<f", value)
	except OverflowError:
		return None


def same_number(ours, theirs):
	if isinstance(ours, str):
		ours = float(ours)
	if math.isnan(ours) or math.isnan(theirs):
		return math.isnan(ours) and math.isnan(theirs)
	return ours == theirs or as_float32(ours) == as_float32(theirs) is not None


def micros_of(value):
	if value.tzinfo is not None:
		value = value.astimezone(datetime.timezone.utc).replace(tzinfo=None)
	return (value - EPOCH) // MICRO


def same_text(ours, theirs, loose):
	"""A string of row_text.h and a value of a reader."""
	if isinstance(theirs, decimal.Decimal):
		return decimal.Decimal(ours) == theirs
	if isinstance(theirs, datetime.datetime):
		return ours.rstrip("Z") == f"{micros_of(theirs)}us"
	if isinstance(theirs, datetime.date):
		return ours == theirs.isoformat()
	if isinstance(theirs, datetime.time):
		return ours == theirs.replace(tzinfo=None).isoformat("microseconds")
	if isinstance(theirs, (bytes, bytearray)):
		return ours == "0x" + theirs.hex() or ours.encode() == theirs or ours.replace("-", "") == theirs.hex()
	if isinstance(theirs, uuid.UUID):
		return ours == str(theirs)
	if isinstance(theirs, bool):
		return False
	if isinstance(theirs, (int, float)) and ours in ("NaN", "Infinity", "-Infinity"):
		return same_number(ours, theirs)
	if isinstance(theirs, int):
		return ours.replace(".", "", 1).lstrip("-").isdigit() and decimal.Decimal(ours) == theirs
	if isinstance(theirs, str):
		if ours == theirs or ours.rstrip("Z") == theirs or ours == "0x" + theirs.encode("utf-8", "surrogateescape").hex():
			return True
		return loose and same_loosely(ours, theirs)
	return loose and isinstance(theirs, float) and same_loosely_number(ours, theirs)


def same_loosely(ours, theirs):
	"""hyparquet's JSON: times as ISO texts with milliseconds, bytes as Latin or hexadecimal text."""
	if ours.rstrip("Z").endswith("us"):
		when = datetime.datetime.fromisoformat(theirs.replace("Z", "+00:00"))
		return micros_of(when) // 1000 == int(ours.rstrip("Z")[:-2]) // 1000
	if theirs.startswith(ours + "T00:00:00"):
		return True
	return ours.startswith("0x") and bytes.fromhex(ours[2:]).decode("utf-8", "replace") == theirs


def same_loosely_number(ours, theirs):
	try:
		return math.isclose(float(ours), theirs, rel_tol=1e-12)
	except ValueError:
		return False


def same_list(ours, theirs, loose):
	if isinstance(theirs, dict):  # a map: the last of equal keys counts, and hyparquet sorts them
		theirs = list(theirs.items())
		ours = list({str(entry[0]): entry for entry in ours}.values())
		if loose:
			ours, theirs = sorted(ours, key=lambda entry: str(entry[0])), sorted(theirs)
	if not isinstance(theirs, (list, tuple)) or len(ours) != len(theirs):
		return False
	return all(same(a, b, loose) for a, b in zip(ours, theirs))


def same(ours, theirs, loose=False):
	if ours is None or theirs is None:
		return ours is theirs or (loose and theirs is None and ours in ("NaN",))
	if isinstance(ours, bool) or isinstance(theirs, bool):
		return ours is theirs
	if isinstance(ours, (int, float)):
		if isinstance(theirs, (int, float)):
			return same_number(ours, theirs)
		return isinstance(theirs, (decimal.Decimal, str)) and str(ours) == str(theirs)
	if isinstance(ours, str) and loose and isinstance(theirs, list):
		return ours == "0x" + bytes(theirs).hex()
	if isinstance(ours, str):
		return same_text(ours, theirs, loose)
	if isinstance(ours, list):
		return same_list(ours, theirs, loose)
	if isinstance(theirs, dict):
		if list(ours) == list(theirs) or (loose and set(theirs) <= set(ours)):
			return all(same(ours[name], theirs.get(name), loose) for name in ours)
	return False


def compare(ours, theirs, loose):
	if len(ours) != len(theirs):
		raise Differs(f"{len(ours)} rows, {len(theirs)} of theirs")
	for number, (a, b) in enumerate(zip(ours, theirs)):
		cells = list(b.values()) if isinstance(b, dict) else b
		if len(a) != len(cells):
			raise Differs(f"row {number}: {len(a)} columns, {len(cells)} of theirs")
		for (name, value), other in zip(a.items(), cells):
			if not same(value, other, loose):
				raise Differs(f"row {number}, {name}: {str(value)[:90]!r} is not {str(other)[:90]!r}")


def unique(pairs):
	"""Two columns of one name are two columns."""
	row = {}
	for name, value in pairs:
		while name in row:
			name += "_1"
		row[name] = value
	return row


def known(path, reader):
	for part, who, why in KNOWN:
		if part in path and who in (None, reader):
			return why
	return None


def read_with_peers(path, rows):
	"""Who agrees, and what those say that do not."""
	agree, differ = [], []
	for name, read in READERS:
		try:
			theirs = read(path)
			if theirs is None:
				continue
			compare(rows, theirs, name == "hyparquet")
			agree.append(name)
		except Differs as difference:
			why = known(path, name)
			differ.append((name, why or f"DIFFERS {difference}"))
		except Exception as problem:  # the reader's own
			text = f"{type(problem).__name__}: {problem}"
			differ.append((name, known(path, name) or "cannot: " + " ".join(text.replace(path, "the file").split())[:160]))
	return agree, differ


def line_of(tool, path):
	"""The table's line and whether it may stand."""
	place = os.path.relpath(path, DATA)
	done = subprocess.run([tool, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
	said = done.stderr.decode().strip()
	if done.returncode != 0:
		why = next((why for part, why in REFUSED if part in place), None)
		code, text = said.split(" ", 1)
		text = text.split(": ", 1)[-1]
		return f"{place}\t-\t-\t{code} {text}\t{why or '?'}", why is not None
	rows = [json.loads(line, object_pairs_hook=unique) for line in done.stdout.decode().splitlines()]
	agree, differ = read_with_peers(path, rows)
	texts = ["as " + ", ".join(agree)] if agree else []
	texts += [f"{name}: {why}" for name, why in differ if not agree or not why.startswith("cannot")]
	count, columns, digest = said.split()
	good = not any(why.startswith("DIFFERS") for _, why in differ)
	return "\t".join([place, count, columns, digest, "; ".join(texts) or "?"]), good


def answer_of(line):
	"""Of a line of the table: the file, and what weir says of it."""
	words = line.rstrip("\n").split("\t")
	return words[0], words[1:4]


def listed():
	with open(TABLE) as file:
		return dict(answer_of(line) for line in file)


def files():
	for at, folders, names in os.walk(os.path.join(DATA, "D_conformance")):
		folders.sort()
		for name in sorted(names):
			if name.endswith((".parquet", ".parquet.encrypted")):
				yield os.path.join(at, name)


def main():
	words = [word for word in sys.argv[1:] if word != "--write"]
	lines, wrong = [], 0
	if not os.path.isdir(os.path.join(DATA, "D_conformance")):
		print("skipped: there are no files at %s/D_conformance; WEIR_DATA names another folder" % DATA)
		return False
	known = listed()
	for path in words[1:] or files():
		line, good = line_of(words[0], path)
		lines.append(line)
		place, answer = answer_of(line)
		if good and "--write" not in sys.argv and answer != known.get(place):
			line, good = "tests/data/parquet.tsv has another answer: " + line, False
		print(("ok  " if good else "FAILED ") + line)
		wrong += not good
	print(f"{len(lines)} files, {wrong} to be explained")
	if "--write" in sys.argv:
		with open(TABLE, "w") as file:
			file.write("path\trows\tcolumns\tdigest or error\twho agrees, or why\n")
			file.writelines(line + "\n" for line in lines)
	return wrong > 0


sys.exit(main())
