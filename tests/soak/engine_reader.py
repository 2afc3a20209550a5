"""A reader of another engine for the soak: engine_reader.py pyiceberg|duckdb "URL NAMESPACE.TABLE"; a line of counts for each line of input."""
import json
import os
import sys

kind, (url, name) = sys.argv[1], sys.argv[2].split()


def pyiceberg():
	from pyiceberg.catalog import load_catalog
	catalog = load_catalog("weir", type="rest", uri=url)

	def tally():
		groups = {}
		for row in catalog.load_table(name).scan().to_arrow().to_pylist():
			groups.setdefault((row["writer"], row["batch"], row["version"]), []).append(row["row"])
		return [[*key, len(rows), len(set(rows))] for key, rows in groups.items()]
	return tally


def duckdb():
	import peer
	connection = peer.connect()

	def tally():  # attached anew each time: an attached catalog may remember a table's version
		connection.execute("ATTACH '' AS w (TYPE iceberg, ENDPOINT '%s', AUTHORIZATION_TYPE 'none')" % url)
		try:
			return [list(row) for row in connection.execute("SELECT writer, batch, version, count(*), count(DISTINCT row) FROM w.%s"
				" GROUP BY ALL" % name).fetchall()]
		finally:
			connection.execute("DETACH w")
	return tally


answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what an engine prints (a progress bar) is no answer
tally = {"pyiceberg": pyiceberg, "duckdb": duckdb}[kind]()
for line in sys.stdin:
	try:
		answer = tally()
	except Exception as error:
		answer = "%s: %s" % (type(error).__name__, error)
	print(json.dumps(answer), file=answers, flush=True)
