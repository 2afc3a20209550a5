"""A lake whose control database is PostgreSQL: other engines open its catalog there and must see what weir sees.

    python3 tests/interop/postgres_peers.py PROGRAM PEER [--results FILE]    PEER: pyiceberg, spark or trino

All that lake_peers.py asks of a lake with SQLite: every row of every table, before and after consent changes, tables of the
engine's own beside weir's, which it may not change, and a sound lake at the end. PROGRAM is weir; pyiceberg needs its own
interpreter (tests/peers/python), the others any. The server is one of this run alone (tests/peers/postgres).
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile

import engines
from lake import ROOT, Lake
from lake_peers import Run, need

SCRIPT = os.path.join(ROOT, "tests", "peers", "postgres", "postgres")
PEERS = os.environ.get("PEERS", os.path.join(ROOT, "build", "peers"))


class Server:
	def __init__(self, folder):
		self.port = engines.free_port()
		self.environment = {"PORT": self.port, "DATA": os.path.join(folder, "postgres")}
		os.chmod(folder, 0o711)  # the server's user must come through
		self.url = engines.start(SCRIPT, **self.environment)

	def jdbc(self):
		return "jdbc:postgresql://127.0.0.1:%s/postgres" % self.port

	def drop(self):
		subprocess.run([SCRIPT, "drop"], check=True, env={**os.environ, **self.environment})


class PostgresLake(Lake):
	"""lakes/athlete with its control database there. The password, of which a trusting server asks nothing, is a reference."""

	def __init__(self, program, folder, server):
		super().__init__(program, folder)
		self.server_of_control = server
		os.environ["WEIR_CONTROL_PASSWORD"] = "p@ss/w:rd"

	def weir(self, *arguments):
		config = os.path.join(self.folder, "lake.yaml")
		with open(config) as file:
			text = file.read()
		if "sqlite:" in text:
			url = self.server_of_control.url.replace("postgres@", "postgres:${env:WEIR_CONTROL_PASSWORD}@")
			text, count = re.subn(r'control: "sqlite:[^"]*"', 'control: "%s"' % url, text)
			assert count == 1
			with open(config, "w") as file:
				file.write(text)
		return super().weir(*arguments)


class Pyiceberg(engines.Pyiceberg):
	def __init__(self, lake):
		import pyiceberg
		from pyiceberg.catalog.sql import SqlCatalog
		engines.Engine.__init__(self, lake)
		self.version = "PyIceberg " + pyiceberg.__version__
		uri = lake.server_of_control.url.replace("postgresql:", "postgresql+psycopg2:")
		self.catalog = SqlCatalog(engines.CATALOG, uri=uri, warehouse="file://" + lake.warehouse)


class Spark(engines.Spark):
	def __init__(self, lake):
		engines.Engine.__init__(self, lake)
		subprocess.run([self.script, "install"], check=True)
		subprocess.run([SCRIPT, "jdbc", os.path.join(PEERS, "spark", "jars")], check=True)
		catalog = "spark.sql.catalog.weir."
		path = engines.start(self.script, "none", lake.warehouse, catalog + "uri=" + lake.server_of_control.jdbc(),
			catalog + "jdbc.user=postgres", catalog + "cache-enabled=false")
		self.socket = socket.socket(socket.AF_UNIX)
		self.socket.connect(path)
		self.stream = self.socket.makefile("rwb")
		self.version = "Spark %s, Iceberg Java 1.12.0" % self.one("SELECT version()").split()[0]


class Trino(engines.Trino):
	def __init__(self, lake):
		engines.Engine.__init__(self, lake)
		subprocess.run([self.script, "install"], check=True)
		subprocess.run([SCRIPT, "jdbc", os.path.join(PEERS, "trino", "jars")], check=True)
		prefix = "iceberg.jdbc-catalog."
		self.url = engines.start(self.script, ",".join((
			engines.CATALOG + ":iceberg.catalog.type=jdbc", prefix + "catalog-name=weir",
			prefix + "driver-class=org.postgresql.Driver", prefix + "connection-url=" + lake.server_of_control.jdbc(),
			prefix + "connection-user=postgres", prefix + "default-warehouse-dir=file://" + lake.warehouse)),
			PORT=engines.free_port())
		self.version = "Trino 483"


ENGINES = {"pyiceberg": Pyiceberg, "spark": Spark, "trino": Trino}


class PostgresRun(Run):
	def no_file(self):
		need(not os.path.exists(self.lake.catalog), "there is a control.db")
		return "no control.db beside the log"

	def second_writer(self):
		"""Another directory, the same control database, while this lake is served."""
		other = os.path.join(self.lake.scratch, "other")
		done = subprocess.run([self.lake.program, "tables", self.lake.folder, "--data", other], capture_output=True, text=True)
		need(done.returncode != 0 and "writes this control database" in done.stderr, done.stderr + done.stdout)
		need("p@ss" not in done.stderr, "the password is told")
		return done.stderr.strip()

	def own_table(self):
		text = self.second_writer()
		return super().own_table() + "; a second weir is refused: " + text

	def sound(self):
		return super().sound() + "; " + self.no_file()


def main():
	if len(sys.argv) not in (3, 5) or sys.argv[2] not in ENGINES or (len(sys.argv) == 5 and sys.argv[3] != "--results"):
		sys.exit(__doc__)
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is not left behind
	folder = tempfile.mkdtemp(prefix="weir-interop-")
	server = Server(folder)
	try:
		lake = PostgresLake(sys.argv[1], folder, server)
		lake.make()
		engine = ENGINES[sys.argv[2]](lake)
		run = PostgresRun(lake, engine)
		try:
			run.all()
		finally:
			lake.stop()
			engine.stop()
	finally:
		server.drop()
		shutil.rmtree(folder)
	if len(sys.argv) == 5:
		with open(sys.argv[4], "a") as file:
			file.write(json.dumps({"engine": engine.version + ", catalog on PostgreSQL", "results": run.results}) + "\n")
	results = [result["result"] for result in run.results]
	print("%s: %d ok, %d it cannot, %d failed" % (engine.version, results.count("ok"), results.count("no"), results.count("FAILED")))
	sys.exit(1 if "FAILED" in results else 0)


if __name__ == "__main__":
	main()
