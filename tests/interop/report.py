"""What a run of tests/interop/run found, as Markdown: docs/interop.md is what it prints after a full run.

    python3 tests/interop/report.py SET FOLDER      FOLDER: build/interop, with judges.tsv, lake.ndjson and matrix-*.ndjson
"""
import json
import os
import re
import sys

from matrix_tables import FEATURES, GROUPS

NAMES = {"weir": "weir", "pyiceberg": "PyIceberg", "duckdb": "DuckDB", "spark": "Spark", "trino": "Trino"}


def lines_of(folder, name):
	path = os.path.join(folder, name)
	if not os.path.exists(path):
		return []
	with open(path) as file:
		return file.read().splitlines()


def table(head, rows):
	print("| " + " | ".join(head) + " |")
	print("|---" * len(head) + "|")
	for row in rows:
		print("| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |")
	print()


def purpose(command):
	"""The first line of the script that a command runs: what it compares."""
	path = next((word for word in command.split() if word.endswith((".py", ".mjs"))), None)
	text = next((line for line in lines_of("", path) if not line.startswith("#!")), "") if path and os.path.exists(path) else ""
	return text.lstrip("\"#/* ").split(". ")[0].rstrip(".:")


def judges(folder):
	rows = []
	for line in lines_of(folder, "judges.tsv"):
		name, held, seconds, result, command = line.split("\t")
		peers = [text[len("peer"):].strip() for text in lines_of(folder, name + ".log") if text.startswith("peer ")]
		rows.append((name, "; ".join(peers), purpose(command), {"ok": held, "skipped": "its data is not here"}.get(result, held + ", then FAILED"), seconds + " s" if seconds else "",
			"`%s`" % command))
	table(("judge", "peers and versions", "what", "comparisons", "time", "command"), rows)


class Notes:
	"""Numbered reasons, each once."""

	def __init__(self, mark):
		self.mark, self.texts = mark, []

	def number(self, text):
		text = " ".join(text.split())
		if text not in self.texts:
			self.texts.append(text)
		return "%s%d" % (self.mark, self.texts.index(text) + 1)

	def show(self):
		for i, text in enumerate(self.texts):
			print("- **%s%d**: %s" % (self.mark, i + 1, text.replace("<", "&lt;")))
		print()


def lakes(folder):
	runs = list({run["engine"]: run for run in map(json.loads, lines_of(folder, "lake.ndjson"))}.values())
	notes, rows = Notes("L"), []
	for name in dict.fromkeys(r["feature"] for run in runs for r in run["results"]):
		cells = []
		for run in runs:
			found = next((r for r in run["results"] if r["feature"] == name), None)
			if found is None or found["result"] == "ok":
				cells.append("yes" if found else "")
			else:
				cells.append("%s, %s" % (found["result"], notes.number(found["detail"][:300])))
		rows.append([name, *cells])
	table(["", *(run["engine"] for run in runs)], rows)
	notes.show()


def reason(cell):
	"""An error without what changes from run to run: folders, positions, Java's and C++'s traces."""
	text = re.sub(r"/\S*/(?=[\w.-]+\.(parquet|metadata))", "", cell["detail"]).split(" Stack Trace")[0]
	text = re.sub(r"^(writing|reading): (\w+(Error|Exception): )?", "", text)
	text = re.sub(r"matrix_tool: (file:\S*: )?", "", text)
	text = re.sub(r"(== SQL| LINE \d| \[file:| CreateTable ).*", "", text)
	return ("`%s`" if cell["result"] == "no" else "a wrong answer: `%s`") % text.replace("`", "'").strip()[:260]


def matrix(folder):
	found = (json.loads(line) for group in GROUPS for line in lines_of(folder, "matrix-%s.ndjson" % group))
	cells = {(c["feature"], c["writer"], c["reader"]): c for c in found}
	writers = [name for name in NAMES if any(key[1] == name for key in cells)]
	readers = [name for name in NAMES if any(key[2] == name for key in cells)]
	notes, rows = Notes("M"), []
	for feature in FEATURES:
		row = [feature.name]
		for writer in writers:
			found = [cells.get((feature.name, writer, reader)) for reader in readers]
			bad = [cell for cell in found if cell and cell["result"] != "yes"]
			if any(cell["detail"].startswith("writing: ") for cell in bad):
				row.append("cannot write it, " + notes.number("%s: %s" % (NAMES[writer], reason(bad[0]))))
				continue
			others = [cell for cell in bad if cell["result"] == "wrong" and cell["reader"] != writer]
			if len(others) > 2:
				text = notes.number("%s writes it wrongly, as %s find: `%s`" % (NAMES[writer], ", ".join(NAMES[c["reader"]] for c in others),
					others[0]["detail"][:260]))
				row.append("not rightly, " + text)
				continue
			but = ", ".join("%s (%s)" % (NAMES[c["reader"]], notes.number("%s: %s" % (NAMES[c["reader"]], reason(c)))) for c in bad)
			row.append("all" if not bad else "all but " + but)
		rows.append(row)
	print("A row a feature, a column a writer; in it, which readers (%s) gave exactly the rows that were meant, and for partitions and"
		% ", ".join(NAMES[name] for name in readers))
	print("filters also the rows of each condition. Tables are local files in a SQLite catalog where the row names no other place. %d cells; `tests/interop/matrix.tsv` lists each with what it must give.\n" % len(cells))
	table(["", *("written by " + NAMES[name] for name in writers)], rows)
	notes.show()


def main():
	if len(sys.argv) != 3:
		sys.exit(__doc__)
	name, folder = sys.argv[1:]
	print("# Other engines and weir\n")
	print("Real engines read what weir writes, and weir reads what they write. This is what `make interop SET=%s` found, each judge's last run;" % name)
	print("`tests/interop/report.py` makes it from `build/interop`.\n")
	print("## The runs\n")
	judges(folder)
	print("## A whole lake\n")
	print("weir makes a lake of 20,000 events; each engine opens its catalog file (or, DuckDB, its metadata files) and must see every row")
	print("and column of every table, before and after a withdrawal and a new grant; weir's own tables refuse other writers.\n")
	lakes(folder)
	print("## Writer, reader, feature\n")
	matrix(folder)


if __name__ == "__main__":
	main()
