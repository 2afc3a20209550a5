"""weir's Iceberg commands on tables that PyIceberg makes, in every place that a table can be; PyIceberg judges what they leave.

    tests/peers/python/python iceberg tests/interop/cli_peers.py PROGRAM PLACE

PLACE: sqlite, postgres (SQL catalogs); minio, versitygw (a SQL catalog and a folder, files in a bucket); rest (`weir catalog`), vended (the
same on a bucket whose keys it gives), reference (Iceberg's own REST server), lake (a served lake and its folder); maintain (`weir catalog
--maintain`), kept (a lake with `maintain:`). A line a step: `ok`, or FAILED, which
also makes the exit code 1.
"""
import contextlib
import http.server
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import engines
from rest_peers import Catalog, GovernedLake, Steps, Watched
from s3_client import Client

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(os.path.dirname(HERE), "peers")
BUCKET = "weir-cli"


class Weir:
	def __init__(self, program, steps):
		self.program, self.steps, self.has_keys = program, steps, True

	def environment(self):
		"""That of this process; without has_keys, without those of any bucket."""
		return {name: value for name, value in os.environ.items() if self.has_keys or not name.startswith("AWS_")}

	def run(self, *words, **environment):
		return subprocess.run([self.program, *words], capture_output=True, text=True, env={**self.environment(), **environment})

	def json(self, *words):
		done = self.run(*words, "--json")
		if done.returncode != 0:
			raise RuntimeError("weir %s: %s" % (" ".join(words), done.stderr.strip()))
		return json.loads(done.stdout)

	def refused(self, name, pattern, *words, **environment):
		done = self.run(*words, **environment)
		self.steps.check(name, (done.returncode, bool(re.search(pattern, done.stderr)) or done.stderr), (3, True))


def rows(table, **scan):
	return sorted((row["id"], row["text"]) for row in table.scan(selected_fields=("id", "text"), **scan).to_arrow().to_pylist())


def make(peer):
	"""Six small files, a delete, an older schema: what the commands are for."""
	import pyarrow as pa
	peer.create_namespace("db")
	schema = pa.schema([("id", pa.int64()), ("text", pa.string()), ("at", pa.timestamp("us", "UTC"))])
	table = peer.create_table("db.events", schema=schema)
	for i in range(6):
		table.append(pa.table({"id": [2 * i, 2 * i + 1], "text": ["t%d" % i, None], "at": [1000000 * i, None]}, schema=schema))
	return table


def commands(weir, steps, peer, where, folder):
	"""Every command on db.events; peer is a catalog that sees the same table, where the words that name the place for weir, folder
	a function that gives the names of the data files that are there."""
	table = make(peer)
	whole = rows(table)
	reload = lambda: peer.load_table("db.events")
	seen = [field["name"] for field in weir.json("schema", "db.events", *where)["fields"]]
	steps.check("schema", seen, ["id", "text", "at"])
	steps.check("partitions", [p["records"] for p in weir.json("partitions", "db.events", *where)], [12])
	steps.check("tables", [t["namespace"] + "." + t["name"] for t in weir.json("tables", where[1])["tables"]], ["db.events"])
	steps.check("snapshots", len(weir.json("snapshots", where[1], "db.events")), 6)
	changes = weir.json("changes", "db.events", *where)
	steps.check("changes", sorted(row["id"] for row in changes), [row[0] for row in whole])
	steps.check("files", sum(f["records"] for f in weir.json("files", where[1], "db.events")), 12)
	weir.json("tag", "db.events", "before", *where)
	weir.json("branch", "db.events", "side", *where)
	steps.check("tag and branch, as the peer sees them", sorted(reload().refs()), ["before", "main", "side"])
	weir.json("evolve", "db.events", *where, "--add", "more:long", "--rename", "text=word", "--partition", "day(at)", "--set", "owner=me")
	table = reload()
	steps.check("evolved columns, as the peer sees them", table.schema().column_names, ["id", "word", "at", "more"])
	steps.check("evolved layout and property", (str(table.spec().fields[0].transform), table.properties.get("owner")), ("day", "me"))
	weir.json("evolve", "db.events", *where, "--rename", "word=text")
	steps.check("rows after it", rows(reload()), whole)
	before = set(folder())
	counts = weir.json("compact", "db.events", *where)
	steps.check("compaction reads all six", (counts["files_read"], counts["rows"]), (6, 12))
	table = reload()
	steps.check("rows after compaction", rows(table), whole)
	steps.check("time travel to the tag", rows(table, snapshot_id=table.refs()["before"].snapshot_id), whole)
	weir.json("expire", "db.events", *where, "--older-than", "0s")
	steps.check("expiry keeps what the tag names", before <= set(folder()), True)
	weir.json("tag", "db.events", "before", "--drop", *where)
	weir.json("branch", "db.events", "side", "--drop", *where)
	weir.json("expire", "db.events", *where, "--older-than", "0s")
	table = reload()
	steps.check("expiry without it takes the old files", (before & set(folder()), len(table.snapshots())), (set(), 1))
	steps.check("rows after expiry", rows(table), whole)
	import pyarrow as pa
	table.append(pa.table({"id": [100], "text": ["late"], "at": [None], "more": [1]}, schema=table.schema().as_arrow()))
	steps.check("the peer writes on", len(rows(reload())), 13)
	first = reload().history()[0].snapshot_id
	weir.json("rollback", "db.events", *where, "--at", str(first))
	steps.check("rollback, as the peer sees it", rows(reload()), whole)
	steps.check("orphans: none of a day", weir.json("orphans", "db.events", *where, "--older-than", "1d"), [])
	weir.refused("a table that is not there is named", "nothing", "schema", "db.nothing", *where)
	ordered(weir, steps, peer, where)
	race(weir, steps, peer, where)


def ordered(weir, steps, peer, where):
	"""A sort order that the peer declares: a compaction keeps it, and the files say so to the peer."""
	import pyarrow as pa
	import pyarrow.parquet
	from pyiceberg.schema import Schema
	from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
	from pyiceberg.transforms import BucketTransform, IdentityTransform
	from pyiceberg.types import DoubleType, LongType, NestedField
	fields = Schema(NestedField(1, "id", LongType()), NestedField(2, "x", DoubleType()))
	order = SortOrder(SortField(1, BucketTransform(3), SortDirection.ASC, NullOrder.NULLS_FIRST),
		SortField(2, IdentityTransform(), SortDirection.DESC, NullOrder.NULLS_LAST))
	table = peer.create_table("db.ordered", fields, sort_order=order)
	numbers = [1.5, None, float("nan"), -0.0, 0.0, float("inf"), -2.0]
	for i in range(3):
		table.append(pa.table({"id": list(range(40 * i, 40 * i + 40)), "x": [numbers[n % 7] for n in range(40)]}))
	weir.json("compact", "db.ordered", *where)
	files = [task.file for task in peer.load_table("db.ordered").scan().plan_files()]
	steps.check("its files say the table's order", [file.sort_order_id for file in files], [table.sort_order().order_id])
	bucket = BucketTransform(3).transform(LongType())
	rank = lambda x: (1, 0, 0) if x is None else (0, 0 if x != x else 1, 0 if x != x else -x)
	with peer.load_table("db.ordered").io.new_input(files[0].file_path).open() as data:
		found = [(bucket(row["id"]),) + rank(row["x"]) for row in pa.parquet.read_table(pa.BufferReader(data.read())).to_pylist()]
	steps.check("and are in it", (len(found), found == sorted(found)), (120, True))
	weir.json("compact", "db.ordered", *where, "--all", "--sort", "x")
	files = [task.file for task in peer.load_table("db.ordered").scan().plan_files()]
	steps.check("in another order they claim none", [file.sort_order_id for file in files], [0])
	peer.drop_table("db.ordered")


def race(weir, steps, peer, where):
	"""Twenty appends of the peer beside compactions, expiries and tags of weir: nobody's commit is lost."""
	import pyarrow as pa
	from pyiceberg.exceptions import CommitFailedException
	table = peer.load_table("db.events")
	before, schema = len(rows(table)), table.schema().as_arrow()
	beside = subprocess.Popen(["sh", "-c", 'for i in 1 2 3 4; do "$0" tag db.events "race$i" "$@" && "$0" compact db.events "$@"; '
		'"$0" expire db.events --older-than 1h "$@"; done', weir.program, *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
		env=weir.environment())
	retries = 0
	for i in range(20):
		while True:
			try:
				peer.load_table("db.events").append(pa.table({"id": [1000 + i], "text": ["r"], "at": [None], "more": [i]}, schema=schema))
				break
			except CommitFailedException:
				retries += 1
	beside.wait(300)
	weir.json("compact", "db.events", *where)
	found = rows(peer.load_table("db.events"))
	steps.check("appends beside weir's commits (%d retries)" % retries, (len(found), [i for i, _ in found[-20:]]),
		(before + 20, list(range(1000, 1020))))
	tags = [name for name in peer.load_table("db.events").refs() if name.startswith("race")]
	steps.check("weir's tags beside the peer's commits", sorted(tags), ["race1", "race2", "race3", "race4"])


def local_files(path):
	return [os.path.join(at, name) for at, _, names in os.walk(path) for name in names if name.endswith(".parquet")]


def sql_catalog(uri, warehouse, **more):
	from pyiceberg.catalog.sql import SqlCatalog
	return SqlCatalog("peer", uri=uri, warehouse=warehouse, **more)


# ---- places ----

def sqlite(weir, steps, scratch):
	warehouse, file = os.path.join(scratch, "warehouse"), os.path.join(scratch, "catalog.db")
	os.mkdir(warehouse)
	peer = sql_catalog("sqlite:///" + file, "file://" + warehouse)
	commands(weir, steps, peer, ("--catalog", file), lambda: local_files(warehouse))
	weir.refused("a catalog that is not there", "there is no such catalog", "schema", "db.events", "--catalog", file + "x")
	weir.refused("a kind of catalog that is none", "not known", "schema", "db.events", "--catalog", "mysql://x/y")


def postgres(weir, steps, scratch):
	script, warehouse = os.path.join(PEERS, "postgres", "postgres"), os.path.join(scratch, "warehouse")
	environment = {"PORT": engines.free_port(), "DATA": os.path.join(scratch, "postgres")}
	os.mkdir(warehouse)
	os.chmod(scratch, 0o711)
	url = engines.start(script, **environment)
	try:
		peer = sql_catalog(url.replace("postgresql:", "postgresql+psycopg2:"), "file://" + warehouse)
		commands(weir, steps, peer, ("--catalog", url), lambda: local_files(warehouse))
		secret = url.replace("postgres@", "postgres:${env:CONTROL_PASSWORD}@")
		done = weir.run("schema", "db.events", "--catalog", secret, CONTROL_PASSWORD="p@ss/w:rd")
		steps.check("a password by reference", (done.returncode, "p@ss" in done.stderr), (0, False))
		weir.refused("a password in the address is refused, and not told", "stands in", "schema", "db.events", "--catalog",
			url.replace("postgres@", "postgres:hidden@"))
	finally:
		subprocess.run([script, "drop"], check=True, env={**os.environ, **environment})


@contextlib.contextmanager
def bucket(name, scratch):
	script, environment = os.path.join(PEERS, "s3", "s3"), {"PORT": engines.free_port(), "DATA": os.path.join(scratch, "server")}
	done = subprocess.run([script, "start", name], check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
	url, key, secret = done.stdout.split()[-3:]
	for variable in [v for v in os.environ if v.startswith("AWS_")]:
		del os.environ[variable]
	os.environ.update(AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret, AWS_ENDPOINT_URL_S3=url, AWS_REGION="us-east-1")
	client = Client(url, key, secret)
	client.make_bucket(BUCKET)
	try:
		yield client, {"s3.endpoint": url, "s3.access-key-id": key, "s3.secret-access-key": secret, "s3.region": "us-east-1"}
	finally:
		subprocess.run([script, "stop", name], check=False, env={**os.environ, **environment})


def s3(name):
	def place(weir, steps, scratch):
		with bucket(name, scratch) as (client, settings):
			warehouse, file = "s3://%s/wh" % BUCKET, os.path.join(scratch, "catalog.db")
			peer = sql_catalog("sqlite:///" + file, warehouse, **settings)
			files = lambda: [key for key in client.list(BUCKET, "wh/") if key.endswith(".parquet")]
			commands(weir, steps, peer, ("--catalog", file), files)
			hadoop(weir, steps, peer, client)
			done = weir.run("parquet", "s3://%s/%s" % (BUCKET, files()[0]))
			steps.check("a Parquet file in the bucket", (done.returncode, "row group 0" in done.stdout), (0, True))
			weir.refused("keys that do not fit", "AWS_", "schema", "db.events", "--catalog", file, AWS_SECRET_ACCESS_KEY="wrong-secret")
			weir.refused("a bucket that is not there", "no-such-bucket", "schema", "s3://no-such-bucket/t")
			steps.check("no upload is left", client.uploads(BUCKET, "wh"), [])
	return place


def hadoop(weir, steps, peer, client):
	"""The table by itself: its folder in the bucket, under versions by number."""
	table = peer.load_table("db.events")
	place = table.location()
	key = table.metadata_location.split("/", 3)[3]
	folder = place.split("/", 3)[3]
	text = client.call("GET", "/%s/%s" % (BUCKET, key))
	client.call("PUT", "/%s/%s/metadata/v900.metadata.json" % (BUCKET, folder), body=text)
	whole = rows(table)
	weir.json("evolve", place, "--set", "hadoop=yes")
	weir.json("compact", place, "--all")
	names = sorted(name.rsplit("/", 1)[1] for name in client.list(BUCKET, folder + "/metadata/") if re.search(r"/v\d+\.metadata", name))
	steps.check("versions of a folder in a bucket", names[:2] + [len(names) > 2], ["v900.metadata.json", "v901.metadata.json", True])
	hint = client.call("GET", "/%s/%s/metadata/version-hint.text" % (BUCKET, folder))
	steps.check("its hint", "v%s.metadata.json" % hint.decode(), names[-1])
	from pyiceberg.table import StaticTable
	static = StaticTable.from_metadata("%s/metadata/%s" % (place, names[-1]), properties=peer.properties)
	steps.check("rows of the folder's newest version", rows(static), whole)
	weir.refused("one metadata file is to be read only", "--catalog", "evolve", place + "/metadata/v900.metadata.json", "--set", "a=b")


def rest(weir, steps, scratch):
	from pyiceberg.catalog import load_catalog
	with Catalog(weir.program, scratch) as catalog:
		peer = load_catalog("weir", type="rest", uri=catalog.url)
		commands(weir, steps, peer, ("--catalog", catalog.url), lambda: local_files(os.path.join(catalog.data, "warehouse")))
		lost_answers(weir, steps, peer, catalog.url)
		peer.create_namespace(("a", "b"))
		make_small(peer, "a.b.t")
		steps.check("a namespace of two levels", weir.json("schema", "a.b.t", "--catalog", catalog.url)["fields"][0]["name"], "id")
		steps.check("all tables", [t["namespace"] for t in weir.json("tables", catalog.url)["tables"]], ["a.b", "db"])
	weir.refused("a server that is not there", "no answer", "schema", "db.events", "--catalog", catalog.url)


class LosingProxy(http.server.ThreadingHTTPServer):
	"""Hands requests on to a catalog, but for commits of tables: those it swallows, before (`lose="request"`) or
	after (`"answer"`), or it says something else instead of the answer (`"words"`)."""

	def __init__(self, target):
		self.target, self.lose = target, "answer"
		super().__init__(("127.0.0.1", 0), LosingHandler)
		threading.Thread(target=self.serve_forever, daemon=True).start()

	def url(self):
		return "http://127.0.0.1:%d/iceberg" % self.server_port


class LosingHandler(http.server.BaseHTTPRequestHandler):
	def log_message(self, *_):
		pass

	def hand_on(self):
		body = self.rfile.read(int(self.headers.get("content-length", 0)))
		is_commit = self.command == "POST" and b'"updates":[]' not in body
		if is_commit and self.server.lose == "request":
			return self.connection.close()
		target = urllib.request.Request(self.server.target.rsplit("/", 1)[0] + self.path, body or None, method=self.command)
		try:
			with urllib.request.urlopen(target) as answer:
				status, text = answer.status, answer.read()
		except urllib.error.HTTPError as answer:
			status, text = answer.code, answer.read()
		if is_commit and self.server.lose == "answer":
			return self.connection.close()
		if is_commit:
			status, text = 200, b"<html>Welcome to this network</html>"
		self.send_response(status)
		self.send_header("content-length", str(len(text)))
		self.end_headers()
		self.wfile.write(text)

	do_GET = do_POST = do_HEAD = hand_on


def lost_answers(weir, steps, peer, url):
	proxy = LosingProxy(url)
	done = weir.run("tag", "db.events", "lost", "--catalog", proxy.url())
	steps.check("an answer that was lost is looked for", (done.returncode, "lost" in peer.load_table("db.events").refs()), (0, True))
	whole = rows(peer.load_table("db.events"))
	done = weir.run("compact", "db.events", "--all", "--catalog", proxy.url())
	steps.check("also that of a compaction", (done.returncode, rows(peer.load_table("db.events"))), (0, whole))
	proxy.lose = "words"
	done = weir.run("compact", "db.events", "--all", "--catalog", proxy.url())
	steps.check("an answer that is none does not mean that nothing was done", (done.returncode, rows(peer.load_table("db.events"))), (0, whole))
	proxy.lose = "request"
	weir.refused("a request that was lost is told as such", "may have been made or not", "tag", "db.events", "no", "--catalog", proxy.url())
	steps.check("and nothing happened", "no" in peer.load_table("db.events").refs(), False)
	proxy.shutdown()


def vended(weir, steps, scratch):
	"""A catalog whose warehouse is a bucket: weir and the peer have no keys but those that it gives them, for the table's folder."""
	from pyiceberg.catalog import load_catalog
	with bucket("minio", scratch) as (client, settings):
		os.environ["AWS_ENDPOINT_URL_STS"] = settings["s3.endpoint"]
		catalog = Catalog(weir.program, scratch)
		catalog.command += ["--warehouse", "s3://%s/wh" % BUCKET]
		with catalog:
			weir.has_keys = False
			for name in [name for name in os.environ if name.startswith("AWS_")]:
				del os.environ[name]
			peer = load_catalog("weir", type="rest", uri=catalog.url)
			files = lambda: [key for key in client.list(BUCKET, "wh/") if key.endswith(".parquet")]
			commands(weir, steps, peer, ("--catalog", catalog.url), files)
			# Keys that seem to have expired at once: each request to the bucket asks the catalog for others.
			with Watched(catalog, scratch, r'("s3\.session-token-expires-at-ms":")\d+', r"\g<1>1000") as watched:
				weir.json("compact", "db.events", "--catalog", watched.url, "--all")
				count, statuses = watched.count("GET", "/tables/events$")
			steps.check("keys that expire are renewed (%d loads)" % count, (count > 3, statuses), (True, [200]))
			steps.check("rows after a compaction with them", len(rows(peer.load_table("db.events"))) > 0, True)
			weir.refused("without the catalog there are no keys", "AWS_", "schema", peer.load_table("db.events").metadata_location)


def make_small(peer, name):
	import pyarrow as pa
	table = peer.create_table(name, schema=pa.schema([("id", pa.int64())]))
	table.append(pa.table({"id": [1]}))
	return table


def reference(weir, steps, scratch):
	"""Iceberg's own server: what weir sends is read by the implementation that the specification was written from."""
	from pyiceberg.catalog import load_catalog
	script, warehouse = os.path.join(PEERS, "rest", "rest"), os.path.join(scratch, "warehouse")
	os.mkdir(warehouse)
	environment = {"PORT": engines.free_port()}
	done = subprocess.run([script, "start", os.path.join(scratch, "catalog.db"), warehouse], check=True, stdout=subprocess.PIPE, text=True,
		env={**os.environ, **environment})
	url = done.stdout.split()[-1]
	try:
		commands(weir, steps, load_catalog("reference", type="rest", uri=url), ("--catalog", url), lambda: local_files(warehouse))
	finally:
		subprocess.run([script, "stop"], check=False, env={**os.environ, **environment})


def lake(weir, steps, scratch):
	"""A lake's own tables: shown in each way, changed in none, and by whom the server lets."""
	with GovernedLake(weir.program, scratch) as served:
		here = ("--catalog", served.source, "--data", served.data)
		fields = [field["name"] for field in weir.json("schema", "gold.athlete_data", *here)["fields"]]
		steps.check("a lake by its folder", "purpose" in fields, True)
		steps.check("a lake by its data", len(weir.json("schema", "gold.athlete_data", "--catalog", served.data)["fields"]), len(fields))
		weir.refused("its table is not changed there", "lake.yaml", "evolve", "gold.athlete_data", *here, "--set", "a=b")
		steps.check("its table through the server", len(weir.json("schema", "gold.athlete_data", "--catalog", served.url)["fields"]), len(fields))
		for command in (["evolve", "--set", "a=b"], ["compact", "--all"], ["expire"], ["tag", "x"]):
			words = [command[0], "gold.athlete_data", *command[1:], "--catalog", served.url]
			weir.refused("%s of it through the server" % command[0], "403.*own tables", *words)
		done = weir.run("partitions", "gold.athlete_data", "--catalog", served.url, "--json", WEIR_TOKEN=served.token)
		found = json.loads(done.stdout) if done.returncode == 0 else done.stderr
		steps.check("a consumer's token: the slice of its purpose", {p["partition"].split("/")[0] for p in found}, {"purpose=research"})
		steps.check("and its rows", sum(p["records"] for p in found), served.rows)
		done = weir.run("partitions", "gold.athlete_data", "--catalog", served.url, "--json", WEIR_CREDENTIAL="lab:" + served.token)
		steps.check("client credentials: the same slice", json.loads(done.stdout) if done.returncode == 0 else done.stderr, found)
		done = weir.run("schema", "gold.athlete_data", "--catalog", served.url, WEIR_CREDENTIAL="lab:nobody-s-secret")
		steps.check("credentials that are none, and are not told", (done.returncode, "nobody-s" in done.stderr), (3, False))
		weir.refused("a token that is none", "401|403", "schema", "gold.athlete_data", "--catalog", served.url, WEIR_TOKEN="nobody")


def maintain(weir, steps, scratch):
	"""A catalog that keeps its tables, beside a peer that writes into one of them."""
	import pyarrow as pa
	from pyiceberg.catalog import load_catalog
	from pyiceberg.exceptions import CommitFailedException
	catalog = Catalog(weir.program, scratch)
	catalog.command += ["--maintain", "1s"]
	with catalog:
		peer = load_catalog("weir", type="rest", uri=catalog.url)
		table, retries = make(peer), 0
		with table.transaction() as change:
			change.set_properties({"history.expire.max-snapshot-age-ms": "1", "commit.manifest.min-count-to-merge": "5"})
		schema, expected = table.schema().as_arrow(), rows(table)
		for i in range(60):
			while True:
				try:
					peer.load_table("db.events").append(pa.table({"id": [1000 + i], "text": ["r"], "at": [None]}, schema=schema))
					break
				except CommitFailedException:
					retries += 1
			expected.append((1000 + i, "r"))
			if i % 10 == 0:
				steps.check("rows beside maintenance, %d appends" % i, rows(peer.load_table("db.events")), sorted(expected))
		until = time.time() + 60
		files = lambda: len(list(peer.load_table("db.events").scan().plan_files()))
		while files() > 10 and time.time() < until:
			time.sleep(0.5)
		steps.check("66 files are few (%d retries of the peer)" % retries, files() <= 10, True)
		steps.check("and all rows are there", rows(peer.load_table("db.events")), sorted(expected))
		manifests = len(peer.load_table("db.events").inspect.manifests())
		steps.check("%d manifests are few" % manifests, manifests <= 10, True)
	killed(weir, steps, scratch, expected, schema)


def killed(weir, steps, scratch, expected, schema):
	"""The catalog dies in the middle of its work, again and again: what the peer was told is there, and nothing else."""
	import pyarrow as pa
	from pyiceberg.catalog import load_catalog
	for i in range(8):
		catalog = Catalog(weir.program, scratch)
		catalog.command += ["--maintain", "1s"]
		catalog.__enter__()
		peer = load_catalog("weir", type="rest", uri=catalog.url)
		for j in range(6):
			peer.load_table("db.events").append(pa.table({"id": [2000 + 10 * i + j], "text": ["k"], "at": [None]}, schema=schema))
			expected.append((2000 + 10 * i + j, "k"))
		time.sleep(random.random() * 1.5)
		catalog.process.kill()
		catalog.process.wait()
	with Catalog(weir.program, scratch) as catalog:
		table = load_catalog("weir", type="rest", uri=catalog.url).load_table("db.events")
		steps.check("rows after 8 kills", rows(table), sorted(expected))
		weir.json("compact", "db.events", "--catalog", catalog.url)
		steps.check("and after a compaction", rows(table.refresh()), sorted(expected))


def kept(weir, steps, scratch):
	"""A lake with `maintain:` keeps what others create beside its own tables, and stays sound."""
	import pyarrow as pa
	from pyiceberg.catalog import load_catalog
	with GovernedLake(weir.program, scratch) as first:
		make(load_catalog("weir", type="rest", uri=first.url))  # before anything is kept: five small files are joined as soon as they are there
		folder = os.path.join(scratch, "source")
		shutil.copytree(first.source, folder)
	with open(os.path.join(folder, "lake.yaml"), "a") as file:
		file.write("\nmaintain: {every: 1s}\n")
	server = subprocess.Popen([weir.program, "serve", folder, "--data", first.data, "--listen", "127.0.0.1:0"], stdout=subprocess.PIPE,
		stderr=subprocess.DEVNULL, text=True)
	try:
		url = re.search(r"http://\S+", server.stdout.readline()).group(0)
		peer = load_catalog("weir", type="rest", uri=url + "/iceberg")
		files = lambda: len(list(peer.load_table("db.events").scan().plan_files()))
		until = time.time() + 60
		while files() > 1 and time.time() < until:
			time.sleep(0.5)
		steps.check("six files become one", (files(), len(rows(peer.load_table("db.events")))), (1, 12))
		with urllib.request.urlopen(url + "/metrics") as answer:
			steps.check("the metrics count it", "weir_maintain_files_compacted_total 6" in answer.read().decode(), True)
		checked = json.loads(weir.run("check", folder, "--data", first.data, "--json").stdout)
		steps.check("the lake is sound beside it", checked.get("sound"), True)
	finally:
		server.terminate()
		status = server.wait(20)
	steps.check("it stops in order", status, 0)


PLACES = {"vended": vended, "kept": kept, "sqlite": sqlite, "postgres": postgres, "minio": s3("minio"), "versitygw": s3("versitygw"), "rest": rest, "reference": reference,
	"lake": lake, "maintain": maintain}


def main():
	if len(sys.argv) != 3 or sys.argv[2] not in PLACES:
		sys.exit(__doc__)
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server is left behind
	steps, scratch = Steps(), tempfile.mkdtemp(prefix="weir-cli-")
	try:
		PLACES[sys.argv[2]](Weir(os.path.abspath(sys.argv[1]), steps), steps, scratch)
	finally:
		shutil.rmtree(scratch, ignore_errors=True)
	print("%s: %s" % (sys.argv[2], "all as it must be" if steps.failed == 0 else "%d FAILED" % steps.failed))
	sys.exit(1 if steps.failed else 0)


main()
