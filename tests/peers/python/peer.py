"""connect() -> a DuckDB connection with its iceberg extension, loaded from the installed packages (no network)."""
import glob
import os
import sys

import duckdb


def connect(path=":memory:"):
	con = duckdb.connect(path)
	site = next(p for p in sys.path if p.endswith("site-packages"))
	for name in ("avro", "httpfs", "iceberg"):  # in this order: iceberg alone would look for avro on the network
		pattern = os.path.join(site, "duckdb_extension_" + name, "extensions", "*", name + ".duckdb_extension")
		con.execute("LOAD '%s'" % glob.glob(pattern)[0])
	return con
