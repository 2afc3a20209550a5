"""Clients of the Iceberg REST catalog against `weir catalog`: they create, write, evolve, read and drop, and see what they must.

    python3 tests/interop/rest_peers.py PROGRAM PEER      PEER: pyiceberg, duckdb, spark, trino, kit, or one of the first four with -s3

PROGRAM is weir; pyiceberg and duckdb need their own interpreter (tests/peers/python), the others any. A line a step: `ok`, or FAILED, which
also makes the exit code 1. kit is Iceberg's REST compatibility kit, with both of its optional properties. -s3: the warehouse is a bucket of MinIO, whose
keys the client gets from the catalog alone.
"""
import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(os.path.dirname(HERE), "peers")
KIT_LEAST = 144  # what Iceberg's own reference server passes without the optional properties


class Catalog:
	"""`weir catalog` on a folder of its own, while the block runs."""

	def __init__(self, program, scratch):
		self.data = os.path.join(scratch, "catalog")
		self.command = [program, "catalog", "--data", self.data]
		self.environment = dict(os.environ)
		self.log = open(os.path.join(scratch, "catalog.log"), "w+")

	def token(self, role):
		"""The secret of a new token; while the catalog does not run."""
		made = subprocess.run(self.command + ["--new-token", role], capture_output=True, text=True, check=True, env=self.environment)
		return re.search(r"secret (\S+)", made.stdout).group(1)

	def __enter__(self):
		self.process = subprocess.Popen(self.command + ["--listen", "127.0.0.1:0"], stdout=subprocess.PIPE, stderr=self.log, text=True,
			env=self.environment)
		line = self.process.stdout.readline()
		found = re.search(r"http://\S+/iceberg", line)
		if not found:
			raise RuntimeError("weir catalog did not start: " + line + open(self.log.name).read())
		self.url = found.group(0)
		return self

	def __exit__(self, *error):
		self.process.terminate()
		status = self.process.wait(20)
		if status != 0:
			print("FAILED weir catalog ended with", status)

	def ask(self, method, path, body=None, headers=None):
		data = json.dumps(body).encode() if body is not None else None
		request = urllib.request.Request(self.url + "/v1/" + path, data, headers or {}, method=method)
		try:
			with urllib.request.urlopen(request, timeout=30) as answer:
				text = answer.read()
				return answer.status, json.loads(text) if text else None, answer.headers
		except urllib.error.HTTPError as error:
			text = error.read()
			return error.code, json.loads(text) if text else None, error.headers

	def metadata(self, namespace, table):
		return self.ask("GET", "namespaces/%s/tables/%s" % (namespace, table))[1]["metadata"]


class Bucket:
	"""MinIO with one bucket, while the block runs; `warehouse` is in it."""

	def __init__(self, scratch):
		self.port = free_port()
		self.environment = {**os.environ, "PORT": str(self.port), "DATA": os.path.join(scratch, "minio")}
		self.script = os.path.join(PEERS, "s3", "s3")

	def __enter__(self):
		from s3_client import Client
		done = subprocess.run([self.script, "start", "minio"], capture_output=True, text=True, env=self.environment)
		if done.returncode != 0:
			raise RuntimeError("minio did not start: " + done.stderr[-1500:])
		self.url, self.key, self.secret = done.stdout.split()[-3:]
		self.warehouse = "s3://weir-rest/in/a/folder"
		for tries in range(30):  # it is ready a moment before it takes requests
			try:
				Client(self.url, self.key, self.secret).make_bucket("weir-rest")
				return self
			except AssertionError:
				time.sleep(1)
		self.__exit__()
		raise RuntimeError("minio takes no requests")

	def __exit__(self, *error):
		subprocess.run([self.script, "stop", "minio"], capture_output=True, env=self.environment)

	def give(self, catalog):
		"""The catalog has its own keys of the bucket; whoever asks it has none."""
		catalog.command += ["--warehouse", self.warehouse]
		catalog.environment.update(AWS_ACCESS_KEY_ID=self.key, AWS_SECRET_ACCESS_KEY=self.secret, AWS_ENDPOINT_URL_S3=self.url,
			AWS_ENDPOINT_URL_STS=self.url)


class Watched:
	"""A proxy before the catalog that counts what a client asks for, while the block runs; instead: a pattern of its answers, and a text for it."""

	def __init__(self, catalog, scratch, *instead):
		self.port, self.log = free_port(), os.path.join(scratch, "requests")
		self.command = [sys.executable, os.path.join(PEERS, "rest", "proxy.py"), str(self.port), re.search(r":(\d+)/", catalog.url).group(1), self.log, *instead]
		self.url = "http://127.0.0.1:%d/iceberg" % self.port

	def __enter__(self):
		self.process = subprocess.Popen(self.command)
		for _ in range(100):
			try:
				socket.create_connection(("127.0.0.1", self.port)).close()
				break
			except OSError:
				time.sleep(0.1)
		return self

	def __exit__(self, *error):
		self.process.terminate()
		self.process.wait(20)

	def count(self, method, end):
		"""Requests whose path has that end before its id, and the statuses of their answers."""
		found = [entry["status"] for entry in map(json.loads, open(self.log)) if entry["method"] == method and re.search(end, entry["path"])]
		return len(found), sorted(set(found))


def free_port():
	with socket.socket() as probe:
		probe.bind(("127.0.0.1", 0))
		return probe.getsockname()[1]


class GovernedLake:
	"""The athlete lake, served, with events and rules; `token` is a consumer's for research, `rows` what weir's own SQL counts there."""

	def __init__(self, program, scratch, bucket=None):
		self.program, self.scratch = program, scratch
		self.source = os.path.join(os.path.dirname(os.path.dirname(HERE)), "lakes", "athlete")
		self.data = os.path.join(scratch, "lake")
		self.environment = dict(os.environ)
		self.bucket = bucket
		if bucket:  # a copy of the description, whose warehouse is the bucket
			self.source = shutil.copytree(self.source, os.path.join(scratch, "athlete"))
			place = os.path.join(self.source, "lake.yaml")
			text = open(place).read()
			mapping = '{uri: "%s", endpoint: "%s", sts_endpoint: "%s"}' % (bucket.warehouse, bucket.url, bucket.url)
			open(place, "w").write(re.sub(r"(?m)^warehouse:.*$", "warehouse: " + mapping, text))
			self.environment.update(AWS_ACCESS_KEY_ID=bucket.key, AWS_SECRET_ACCESS_KEY=bucket.secret)

	def run(self, *words):
		done = subprocess.run([self.program, *words, "--data", self.data], capture_output=True, text=True, env=self.environment)
		if done.returncode not in (0, 1):  # 1: some of the events were bad, as asked for
			raise RuntimeError(" ".join(words) + ": " + done.stderr)
		return done.stdout

	def __enter__(self):
		rules, events = os.path.join(self.scratch, "rules.ndjson"), os.path.join(self.scratch, "events.ndjson")
		self.run("gen", self.source, "--athletes", "10", "--events", "2000", "--days", "3", "--rules", rules, "--out", events)
		self.process = subprocess.Popen([self.program, "serve", self.source, "--data", self.data, "--listen", "127.0.0.1:0"],
			stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=self.environment)
		try:
			self.fill(rules, events)
		except Exception:
			self.__exit__()
			raise
		return self

	def fill(self, rules, events):
		self.url = re.search(r"http://\S+", self.process.stdout.readline()).group(0) + "/iceberg"
		self.run("consent", "put", self.source, rules)
		self.run("ingest", self.source, events)
		made = self.run("token", "create", self.source, "--role", "consumer", "--consumer", "lab", "--purpose", "research", "--json")
		self.token = json.loads(made)["token"]
		counted = self.run("sql", self.source, "SELECT count(*) AS n FROM gold.athlete_data WHERE purpose = 'research'", "--format", "ndjson")
		self.rows = int(json.loads(counted)["n"])

	def __exit__(self, *error):
		self.process.terminate()
		self.process.wait(20)


class Steps:
	failed = 0

	def check(self, name, found, expected):
		if found == expected:
			print("ok    ", name, flush=True)
		else:
			self.failed += 1
			print("FAILED %s: found %r, expected %r" % (name, found, expected), flush=True)

	def refused(self, name, pattern, call, *arguments):
		try:
			call(*arguments)
		except Exception as error:
			self.check(name, bool(re.search(pattern, type(error).__name__ + " " + str(error))), True)
			return
		self.check(name, "it went through", pattern)


# ---- PyIceberg ----

def pyiceberg(catalog, steps):
	import pyarrow as pa
	from pyiceberg.catalog import load_catalog
	from pyiceberg.types import DoubleType
	peer = load_catalog("weir", type="rest", uri=catalog.url)
	peer.create_namespace("ns", {"owner": "peer"})
	peer.create_namespace(("a", "b"))
	steps.check("namespaces of two levels", (sorted(peer.list_namespaces()), peer.list_namespaces("a")), ([("a",), ("ns",)], [("a", "b")]))
	steps.check("properties", peer.load_namespace_properties("ns"), {"owner": "peer"})
	table = peer.create_table("ns.t", schema=pa.schema([("id", pa.int64()), ("text", pa.string())]))
	table.append(pa.table({"id": [1, 2, 3], "text": ["a", "b", None]}))
	rows = lambda name: sorted((tuple(row.values()) for row in peer.load_table(name).scan().to_arrow().to_pylist()), key=repr)
	steps.check("append and scan", rows("ns.t"), [(1, "a"), (2, "b"), (3, None)])
	with table.update_schema() as update:
		update.add_column("more", DoubleType())
		update.rename_column("text", "word")
	with table.update_spec() as update:
		update.add_identity("word")
	table.append(pa.table({"id": [4], "word": ["d"], "more": [0.5]}))
	table.delete("id = 1")
	steps.check("evolved schema and spec, delete", rows("ns.t"), [(2, "b", None), (3, None, None), (4, "d", 0.5)])
	first = table.history()[0].snapshot_id
	table.manage_snapshots().create_tag(first, "first").create_branch(first, "side").commit()
	steps.check("tag and branch", sorted(catalog.metadata("ns", "t")["refs"]), ["first", "main", "side"])
	steps.check("time travel", table.scan(snapshot_id=first).to_arrow().num_rows, 3)
	stale, other = peer.load_table("ns.t"), peer.load_table("ns.t")
	other.append(pa.table({"id": [5], "word": ["e"], "more": [1.0]}))
	steps.refused("a stale schema change is refused", "CommitFailed", lambda: (
		peer.load_table("ns.t").update_schema().add_column("new", DoubleType()).commit(),
		stale.update_schema().add_column("late", DoubleType()).commit()))
	with peer.create_table_transaction("ns.staged", schema=table.schema()) as transaction:
		transaction.set_properties(made="staged")
	steps.check("staged creation", peer.load_table("ns.staged").properties.get("made"), "staged")
	steps.refused("a table twice", "TableAlreadyExists", peer.create_table, "ns.staged", table.schema())
	peer.rename_table("ns.staged", "a.b.moved")
	steps.check("rename", (peer.list_tables("ns"), peer.list_tables(("a", "b"))), ([("ns", "t")], [("a", "b", "moved")]))
	location = peer.load_table("ns.t").metadata_location
	peer.drop_table("ns.t")
	again = peer.register_table("ns.back", location)
	steps.check("dropped and registered", again.scan().to_arrow().num_rows, 4)
	folder = peer.load_table("ns.back").location()[len("file://"):]
	peer.purge_table("ns.back")
	left = [name for _, _, names in os.walk(folder) for name in names if not name.startswith(".")]
	steps.check("purge leaves no data file", [name for name in left if name.endswith(".parquet")], [])
	steps.refused("a namespace that is not empty", "NamespaceNotEmpty", peer.drop_namespace, ("a", "b"))
	steps.refused("no such table", "NoSuchTable", peer.load_table, "ns.nothing")
	peer.drop_table("a.b.moved")
	peer.drop_namespace(("a", "b"))
	peer.drop_namespace("ns")
	steps.check("all gone", peer.list_namespaces(), [])


def pyiceberg_plans(catalog, steps, scratch):
	"""The same scans, planned by the client and by the server."""
	import pyarrow as pa
	from decimal import Decimal
	from pyiceberg.catalog import load_catalog
	from pyiceberg.expressions import GreaterThan
	from pyiceberg.partitioning import PartitionField, PartitionSpec
	from pyiceberg.schema import Schema
	from pyiceberg.transforms import IdentityTransform
	from pyiceberg.types import LongType, NestedField, StringType
	here = load_catalog("weir", type="rest", uri=catalog.url)
	here.create_namespace("plans")
	table = here.create_table("plans.t", schema=pa.schema([("id", pa.int64()), ("word", pa.string()), ("at", pa.timestamp("us", tz="UTC")), ("price", pa.decimal128(9, 2))]))
	for start in range(0, 50, 10):
		ids = list(range(start, start + 10))
		table.append(pa.table({"id": ids, "word": [None if i % 7 == 0 else "w%02d" % i for i in ids], "at": pa.array([i * 86400000000 for i in ids], pa.timestamp("us", tz="UTC")),
			"price": pa.array([None if i % 5 == 0 else i for i in ids], pa.decimal128(9, 2))}, schema=table.schema().as_arrow()))
	filters = ["true", "id < 12", "id = 3 or id = 44", "not (id >= 10)", "word is null", "word like 'w2%'", "word not like 'w2%'", "id in (1, 2, 77)", "id not in (1, 2)", "at >= '1970-01-31T00:00:00+00:00'",
		GreaterThan("price", Decimal("41.50")), "price is not null and word = 'w48'", "id > 1000", "word != 'w01'"]
	with Watched(catalog, scratch) as watched:
		there = load_catalog("far", type="rest", uri=watched.url, **{"scan-planning-mode": "server"})
		far, near = there.load_table("plans.t"), here.load_table("plans.t")
		rows = lambda scan: sorted(tuple(row.values()) for row in scan.to_arrow().select(["id"]).to_pylist())
		for wish in filters:
			steps.check("planned alike: %s" % wish, rows(far.scan(row_filter=wish)), rows(near.scan(row_filter=wish)))
		files = lambda scan: sorted(task.file.file_path for task in scan.plan_files())
		for wish in ("id < 12", "id = 3 or id = 44", "not (id >= 10)", "at >= '1970-01-31T00:00:00+00:00'", GreaterThan("price", Decimal("41.50"))):
			steps.check("the same files: %s" % wish, files(far.scan(row_filter=wish)), files(near.scan(row_filter=wish)))
		old = near.history()[1].snapshot_id
		steps.check("an older snapshot", rows(far.scan(snapshot_id=old)), rows(near.scan(snapshot_id=old)))
		schema = Schema(NestedField(1, "id", LongType()), NestedField(2, "word", StringType()))
		many = here.create_table("plans.many", schema=schema, partition_spec=PartitionSpec(PartitionField(1, 1000, IdentityTransform(), "id")))
		many.append(pa.table({"id": list(range(2100)), "word": ["x"] * 2100}))
		steps.check("a plan of more than one answer", len(files(there.load_table("plans.many").scan())), 2100)
		plans, tasks = watched.count("POST", "/plan$"), watched.count("POST", "/tasks$")
		steps.check("the server planned them all (%d plans, %d tasks)" % (plans[0], tasks[0]), (plans[0] > 20, plans[1], tasks), (True, [200], (1, [200])))
	for name in ("plans.t", "plans.many"):
		here.purge_table(name)
	here.drop_namespace("plans")


def pyiceberg_governed_plans(lake, steps):
	from pyiceberg.catalog import load_catalog
	peer = load_catalog("weir", type="rest", uri=lake.url, token=lake.token, **{"scan-planning-mode": "server"})
	table = peer.load_table("gold.athlete_data")
	found = table.scan().to_arrow()["purpose"].to_pylist()
	steps.check("a slice of gold, planned by the server", (len(found), set(found)), (lake.rows, {"research"}))
	steps.check("of another purpose it has nothing", table.scan(row_filter="purpose != 'research'").to_arrow().num_rows, 0)


def pyiceberg_s3(catalog, steps, auditor):
	"""Keys of the bucket come from the catalog alone: each is good for its own table."""
	import boto3
	import pyarrow as pa
	from pyiceberg.catalog import load_catalog
	peer = load_catalog("weir", type="rest", uri=catalog.url)
	peer.create_namespace("ns")
	one, other = (peer.create_table("ns." + name, schema=pa.schema([("id", pa.int64())])) for name in ("one", "other"))
	for table in (one, other):
		table.append(pa.table({"id": [1, 2, 3]}))
	steps.check("created, written and read with its keys", sorted(peer.load_table("ns.one").scan().to_arrow()["id"].to_pylist()), [1, 2, 3])
	one.delete("id = 1")
	steps.check("rewritten", peer.load_table("ns.one").scan().to_arrow().num_rows, 2)
	reader = load_catalog("reader", type="rest", uri=catalog.url, token=auditor)
	own, foreign = ([task.file.file_path for task in peer.load_table("ns." + name).scan().plan_files()][0] for name in ("one", "other"))

	def client(keys):
		return boto3.client("s3", endpoint_url=keys["s3.endpoint"], region_name=keys["client.region"], aws_access_key_id=keys["s3.access-key-id"],
			aws_secret_access_key=keys["s3.secret-access-key"], aws_session_token=keys["s3.session-token"])

	def attempt(keys, action, uri, **more):
		bucket, key = uri[len("s3://"):].split("/", 1)
		try:
			getattr(client(keys), action)(Bucket=bucket, **({"Prefix": key} if action == "list_objects_v2" else {"Key": key}), **more)
			return "done"
		except client(keys).exceptions.ClientError as error:
			return error.response["Error"]["Code"]

	location, elsewhere = one.location(), other.location()
	for who, table, writes in (("the operator's", peer.load_table("ns.one"), "done"), ("the auditor's", reader.load_table("ns.one"), "AccessDenied")):
		keys = table.io.properties
		steps.check(who + " keys read", attempt(keys, "get_object", own), "done")
		steps.check(who + " keys list", attempt(keys, "list_objects_v2", location + "/data/"), "done")
		steps.check(who + " keys write", attempt(keys, "put_object", location + "/data/x", Body=b"x"), writes)
		steps.check(who + " keys delete", attempt(keys, "delete_object", location + "/data/x"), writes)
		steps.check(who + " keys read no other table", attempt(keys, "get_object", foreign), "AccessDenied")
		steps.check(who + " keys list no other table", attempt(keys, "list_objects_v2", elsewhere + "/"), "AccessDenied")
		steps.check(who + " keys list no bucket", attempt(keys, "list_objects_v2", "s3://weir-rest/"), "AccessDenied")
		steps.check(who + " keys write no other table", attempt(keys, "put_object", elsewhere + "/data/x", Body=b"x"), "AccessDenied")
		steps.check(who + " keys write no folder that begins alike", attempt(keys, "put_object", location + "-more/x", Body=b"x"), "AccessDenied")
	first, second = (peer.load_table("ns.one").io.properties["s3.access-key-id"] for _ in range(2))
	steps.check("keys are given again while they are good", first, second)
	status, answer, _ = catalog.ask("GET", "namespaces/ns/tables/one/credentials")
	keys = answer["storage-credentials"][0]
	refresh = peer.load_table("ns.one").io.properties["client.refresh-credentials-endpoint"]
	steps.check("where they are asked for anew is said", refresh, "v1/namespaces/ns/tables/one/credentials")
	steps.check("the route of keys", (status, keys["prefix"], keys["config"]["s3.access-key-id"]), (200, location, first))
	left = int(keys["config"]["s3.session-token-expires-at-ms"]) / 1000 - time.time()
	steps.check("they live for a short while (%d s)" % left, 900 < left <= 1800, True)
	_, answer, _ = catalog.ask("GET", "namespaces/ns/tables/one")
	etag = catalog.ask("GET", "namespaces/ns/tables/one")[2]["ETag"]
	asks = {"If-None-Match": etag, "X-Iceberg-Access-Delegation": "vended-credentials"}
	steps.check("keys come with a version that the client has, too", [catalog.ask("GET", "namespaces/ns/tables/one", headers=asks)[0],
		catalog.ask("GET", "namespaces/ns/tables/one", headers={"If-None-Match": etag})[0]], [200, 304])
	steps.check("an unknown token gets no keys", catalog.ask("GET", "namespaces/ns/tables/one/credentials", headers={"Authorization": "Bearer none"})[0], 401)
	steps.check("who does not ask gets none", ("storage-credentials" in answer, answer["config"]), (False, {}))
	far = load_catalog("far", type="rest", uri=catalog.url, **{"scan-planning-mode": "server"})
	steps.check("planned by the server", sorted(far.load_table("ns.one").scan(row_filter="id > 2").to_arrow()["id"].to_pylist()), [3])
	for name in ("ns.one", "ns.other"):
		peer.purge_table(name)
	peer.drop_namespace("ns")
	steps.check("all gone", peer.list_namespaces(), [])


def no_token_service(catalog, steps):
	"""A token service that is not there, and none at all: what is asked for without keys goes on."""
	asks = {"X-Iceberg-Access-Delegation": "vended-credentials"}
	schema = {"type": "struct", "fields": [{"id": 1, "name": "id", "required": False, "type": "long"}]}
	for place, expected in (("http://127.0.0.1:%d" % free_port(), (503, "ServiceUnavailableException")), ("", (200, None))):
		catalog.environment["AWS_ENDPOINT_URL_STS"] = place
		with catalog:
			catalog.ask("POST", "namespaces", {"namespace": ["none"]})
			made, answer, headers = catalog.ask("POST", "namespaces/none/tables", {"name": "t", "schema": schema}, headers=asks)
			steps.check("a table is made without keys, and it is said", (made, "storage-credentials" in answer, bool(headers["Weir-No-Storage-Credentials"])), (200, False, True))
			status, answer, _ = catalog.ask("GET", "namespaces/none/tables/t", headers=asks)
			steps.check("a load that asks for keys", (status, answer.get("error", {}).get("type")), expected)
			steps.check("a load that does not", catalog.ask("GET", "namespaces/none/tables/t")[0], 200)
			catalog.ask("DELETE", "namespaces/none/tables/t?purgeRequested=true")
			catalog.ask("DELETE", "namespaces/none")


def pyiceberg_s3_governed(lake, steps):
	"""A consumer's keys: its slice of gold, and nothing beside it."""
	import boto3
	from pyiceberg.catalog import load_catalog
	consumer, operator = (load_catalog(name, type="rest", uri=lake.url, **more) for name, more in (("consumer", {"token": lake.token}), ("operator", {})))
	table = consumer.load_table("gold.athlete_data")
	found = table.scan().to_arrow()["purpose"].to_pylist()
	steps.check("a slice of gold, read with the catalog's keys", (len(found), set(found)), (lake.rows, {"research"}))
	keys = table.io.properties
	client = boto3.client("s3", endpoint_url=keys["s3.endpoint"], region_name=keys["client.region"], aws_access_key_id=keys["s3.access-key-id"],
		aws_secret_access_key=keys["s3.secret-access-key"], aws_session_token=keys["s3.session-token"])

	def attempt(action, uri, **more):
		bucket, key = uri[len("s3://"):].split("/", 1)
		try:
			getattr(client, action)(Bucket=bucket, **({"Prefix": key} if action == "list_objects_v2" else {"Key": key}), **more)
			return "done"
		except client.exceptions.ClientError as error:
			return error.response["Error"]["Code"]

	whole = operator.load_table("gold.athlete_data")
	by_purpose = {}
	for task in whole.scan().plan_files():
		by_purpose.setdefault(task.file.file_path.split("/data/")[1].split("/")[0], task.file.file_path)
	others = [path for purpose, path in sorted(by_purpose.items()) if purpose != "purpose=research"]
	steps.check("a file of its purpose", attempt("get_object", by_purpose["purpose=research"]), "done")
	steps.check("files of %d other purposes" % len(others), (len(others) > 0, {attempt("get_object", path) for path in others}), (True, {"AccessDenied"}))
	snapshot = whole.current_snapshot()
	steps.check("the whole table's manifest list", attempt("get_object", snapshot.manifest_list), "AccessDenied")
	steps.check("the whole table's metadata", attempt("get_object", whole.metadata_location), "AccessDenied")
	silver = [task.file.file_path for task in operator.load_table("silver.telemetry").scan().plan_files()][0]
	steps.check("silver", attempt("get_object", silver), "AccessDenied")
	steps.check("a list of its own folder", attempt("list_objects_v2", table.location() + "/data/"), "AccessDenied")
	steps.check("it writes nothing", attempt("put_object", table.location() + "/data/purpose=research/x", Body=b"x"), "AccessDenied")
	steps.check("it deletes nothing", attempt("delete_object", by_purpose["purpose=research"]), "AccessDenied")
	keys = whole.io.properties
	client = boto3.client("s3", endpoint_url=keys["s3.endpoint"], region_name=keys["client.region"], aws_access_key_id=keys["s3.access-key-id"],
		aws_secret_access_key=keys["s3.secret-access-key"], aws_session_token=keys["s3.session-token"])
	steps.check("the operator's keys of gold read", attempt("get_object", others[0]), "done")
	steps.check("and write nothing", attempt("delete_object", others[0]), "AccessDenied")


def pyiceberg_governed(lake, steps):
	from pyiceberg.catalog import load_catalog
	pyiceberg_governed_plans(lake, steps)
	for how in ({"token": lake.token}, {"credential": "id:" + lake.token}):
		peer = load_catalog("weir", type="rest", uri=lake.url, **how)
		steps.check("a consumer lists gold alone (%s)" % next(iter(how)), peer.list_namespaces(), [("gold",)])
		table = peer.load_table("gold.athlete_data")
		found = table.scan().to_arrow()["purpose"].to_pylist()
		steps.check("its slice of gold", (len(found), set(found)), (lake.rows, {"research"}))
		steps.check("earlier versions are not in it", len(table.metadata.snapshots), 1)
		steps.refused("silver is not its", "Forbidden", peer.load_table, "silver.telemetry")
		steps.refused("it changes nothing", "Forbidden", lambda: table.transaction().set_properties(a="b").commit_transaction())
	operator = load_catalog("weir", type="rest", uri=lake.url)
	steps.check("the operator sees all of gold", operator.load_table("gold.athlete_data").scan().to_arrow().num_rows > lake.rows, True)
	steps.refused("history is the auditor's", "auditor", operator.load_table, "history.athlete_data")
	steps.refused("the operator does not drop gold", "change by events and consent alone", operator.drop_table, "gold.athlete_data")
	steps.refused("nor make a table there", "change by events and consent alone", operator.create_table, "gold.mine", table.schema())


# ---- DuckDB ----

def duckdb(catalog, steps):
	import peer
	connection = peer.connect()
	connection.execute("ATTACH '' AS w (TYPE iceberg, ENDPOINT '%s', AUTHORIZATION_TYPE 'none')" % catalog.url)

	def rows(sql):
		return connection.execute(sql).fetchall()

	for sql in ("CREATE SCHEMA w.d", "CREATE TABLE w.d.t (id BIGINT, word VARCHAR)", "INSERT INTO w.d.t VALUES (1, 'a'), (2, 'b'), (3, 'c')"):
		rows(sql)
	steps.check("created and inserted", rows("SELECT * FROM w.d.t ORDER BY id"), [(1, "a"), (2, "b"), (3, "c")])
	rows("UPDATE w.d.t SET word = 'z' WHERE id = 2")
	rows("DELETE FROM w.d.t WHERE id = 3")
	steps.check("update and delete", rows("SELECT * FROM w.d.t ORDER BY id"), [(1, "a"), (2, "z")])
	rows("CREATE TABLE w.d.many AS SELECT range AS id, range::VARCHAR AS word FROM range(1000)")
	steps.check("create as select", rows("SELECT count(*), sum(id) FROM w.d.many"), [(1000, 499500)])
	for sql in ("BEGIN", "INSERT INTO w.d.t VALUES (9, 'n')", "INSERT INTO w.d.many VALUES (9000, 'n')", "COMMIT"):
		rows(sql)
	steps.check("two tables in one transaction", rows("SELECT (SELECT count(*) FROM w.d.t), (SELECT count(*) FROM w.d.many)"), [(3, 1001)])
	duckdb_transaction(catalog, steps, peer)
	for sql in ("BEGIN", "INSERT INTO w.d.t VALUES (10, 'n')", "ROLLBACK"):
		rows(sql)
	steps.check("a rollback leaves nothing", rows("SELECT count(*) FROM w.d.t"), [(3,)])
	rows("MERGE INTO w.d.t USING (SELECT 1 AS id, 'm' AS word UNION ALL SELECT 50, 'q') u ON t.id = u.id"
		" WHEN MATCHED THEN UPDATE SET word = u.word WHEN NOT MATCHED THEN INSERT VALUES (u.id, u.word)")
	steps.check("merge", rows("SELECT * FROM w.d.t ORDER BY id"), [(1, "m"), (2, "z"), (9, "n"), (50, "q")])
	rows("CREATE TABLE w.d.three (id BIGINT) WITH ('format-version' = '3')")
	rows("INSERT INTO w.d.three SELECT range FROM range(7)")
	change = [{"action": "set-properties", "updates": {"scan-planning-mode": "server"}}]
	catalog.ask("POST", "namespaces/d/tables/three", {"requirements": [], "updates": change})
	steps.check("a table whose scans the server plans for who can", rows("SELECT count(*) FROM w.d.three"), [(7,)])
	metadata = catalog.metadata("d", "three")
	steps.check("version 3 with row ids", (metadata["format-version"], metadata["next-row-id"]), (3, 7))
	atomic(catalog, steps)
	no_lost_update(catalog, steps)
	for table in ("t", "many", "three"):
		rows("DROP TABLE w.d.%s" % table)
	rows("DROP SCHEMA w.d")
	steps.check("all gone", catalog.ask("GET", "namespaces")[1]["namespaces"], [])


def duckdb_transaction(catalog, steps, peer):
	"""What such a transaction is on the wire: one request that changes both tables. (With a new table in it DuckDB commits one by one.)"""
	with tempfile.TemporaryDirectory(prefix="weir-rest-") as scratch, Watched(catalog, scratch) as watched:
		connection = peer.connect()
		connection.execute("ATTACH '' AS w (TYPE iceberg, ENDPOINT '%s', AUTHORIZATION_TYPE 'none')" % watched.url)
		for sql in ("BEGIN", "DELETE FROM w.d.t WHERE id = 9", "INSERT INTO w.d.many VALUES (9001, 'n')", "COMMIT"):
			connection.execute(sql)
		steps.check("the transaction is one request", watched.count("POST", "/transactions/commit$"), (1, [204]))
		steps.check("no table is committed alone", watched.count("POST", "/tables/[a-z]+$")[0], 0)
		steps.check("all of it is there", connection.execute("SELECT (SELECT count(*) FROM w.d.t), (SELECT count(*) FROM w.d.many)").fetchall(), [(2, 1002)])
		connection.execute("INSERT INTO w.d.t VALUES (9, 'n')")


def duckdb_s3(catalog, steps, _):
	import peer
	connection = peer.connect()
	connection.execute("ATTACH '' AS w (TYPE iceberg, ENDPOINT '%s', AUTHORIZATION_TYPE 'none')" % catalog.url)
	rows = lambda sql: connection.execute(sql).fetchall()
	for sql in ("CREATE SCHEMA w.d", "CREATE TABLE w.d.t (id BIGINT, word VARCHAR)", "INSERT INTO w.d.t VALUES (1, 'a'), (2, 'b'), (3, 'c')", "DELETE FROM w.d.t WHERE id = 3"):
		rows(sql)
	steps.check("created, written and read with the catalog's keys", rows("SELECT * FROM w.d.t ORDER BY id"), [(1, "a"), (2, "b")])
	rows("CREATE TABLE w.d.many AS SELECT range AS id, range::VARCHAR AS word FROM range(1000)")
	for sql in ("BEGIN", "INSERT INTO w.d.t VALUES (9, 'n')", "INSERT INTO w.d.many VALUES (9000, 'n')", "COMMIT"):
		rows(sql)
	steps.check("two tables in one transaction", rows("SELECT (SELECT count(*) FROM w.d.t), (SELECT count(*) FROM w.d.many)"), [(3, 1001)])
	for sql in ("DROP TABLE w.d.t", "DROP TABLE w.d.many", "DROP SCHEMA w.d"):
		rows(sql)
	steps.check("all gone", catalog.ask("GET", "namespaces")[1]["namespaces"], [])


def duckdb_governed(lake, steps):
	import peer
	connection = peer.connect()
	connection.execute("CREATE SECRET weir (TYPE iceberg, TOKEN '%s')" % lake.token)
	connection.execute("ATTACH '' AS w (TYPE iceberg, ENDPOINT '%s', SECRET weir)" % lake.url)
	found = connection.execute("SELECT purpose, count(*) FROM w.gold.athlete_data GROUP BY purpose").fetchall()
	steps.check("a consumer's slice of gold", found, [("research", lake.rows)])
	steps.refused("silver is not its", "", lambda: connection.execute("SELECT count(*) FROM w.silver.telemetry").fetchall())


def atomic(catalog, steps):
	"""A transaction with one requirement that does not hold changes none of its tables."""
	before = [catalog.metadata("d", table)["last-updated-ms"] for table in ("t", "many")]
	change = lambda table, uuid: {"identifier": {"namespace": ["d"], "name": table}, "requirements": [{"type": "assert-table-uuid", "uuid": uuid}],
		"updates": [{"action": "set-properties", "updates": {"half": "done"}}]}
	good = catalog.metadata("d", "t")["table-uuid"]
	status, answer, _ = catalog.ask("POST", "transactions/commit", {"table-changes": [change("t", good), change("many", good)]})
	after = [catalog.metadata("d", table)["last-updated-ms"] for table in ("t", "many")]
	steps.check("a transaction is all or nothing", (status, answer["error"]["type"], after), (409, "CommitFailedException", before))


def no_lost_update(catalog, steps):
	"""Writers beside each other, each commit without a requirement: the catalog applies it to the newest version, and loses none."""
	def write(writer):
		for number in range(20):
			update = {"requirements": [], "updates": [{"action": "set-properties", "updates": {"w%d-%d" % (writer, number): "x"}}]}
			if catalog.ask("POST", "namespaces/d/tables/many", update)[0] != 200:
				return
	threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
	for thread in threads:
		thread.start()
	for thread in threads:
		thread.join()
	steps.check("four writers lose no update", sum(key.startswith("w") and "-" in key for key in catalog.metadata("d", "many")["properties"]), 80)


# ---- Spark and Trino ----

class Script:
	def __init__(self, script, *start):
		self.script = os.path.join(PEERS, script, script)
		if script == "spark" and any("S3FileIO" in word for word in start):
			subprocess.run([self.script, "s3"], check=True)
		done = subprocess.run([self.script, "start", *start], capture_output=True, text=True)
		if done.returncode != 0:
			raise RuntimeError("%s: %s" % (script, done.stderr[-1500:]))

	def ask(self, sql):
		done = subprocess.run([self.script, "sql", sql], capture_output=True, text=True, timeout=300)
		if done.returncode != 0:
			raise RuntimeError((done.stdout + done.stderr)[-1500:])
		return done.stdout

	def stop(self):
		subprocess.run([self.script, "stop"], capture_output=True)


def spark_rows(peer, sql):
	return [[str(cell) for cell in row.values()] for row in json.loads(peer.ask(sql)).get("rows", [])]


def trino_rows(peer, sql):
	return list(csv.reader(io.StringIO(peer.ask(sql))))


def spark(catalog, steps):
	with tempfile.TemporaryDirectory(prefix="weir-rest-") as scratch, Watched(catalog, scratch) as watched:
		peer = Script("spark", "rest=" + watched.url)
		rows = lambda sql: spark_rows(peer, sql)
		try:
			jvm_steps(catalog, steps, SPARK, rows)
			spark_plans(steps, rows, watched)
		finally:
			peer.stop()


def spark_plans(steps, rows, watched):
	"""Tables whose property asks for it are planned by the server: scans, and the scans of DELETE and UPDATE."""
	rows("CREATE NAMESPACE weir.p")
	before = watched.count("POST", "/plan$")[0]
	for version in (2, 3):
		rows("CREATE TABLE weir.p.t (id BIGINT, word STRING, day DATE) USING iceberg PARTITIONED BY (day) TBLPROPERTIES ('format-version' = '%d',"
			" 'write.delete.mode' = 'merge-on-read', 'write.update.mode' = 'merge-on-read', 'scan-planning-mode' = 'server')" % version)
		rows("INSERT INTO weir.p.t SELECT id, CAST(id AS STRING), date_add(DATE'2024-10-01', CAST(id % 5 AS INT)) FROM range(100)")
		for wish, found in (("true", 100), ("day = DATE'2024-10-03'", 20), ("day < DATE'2024-10-03' AND id > 50", 19), ("word LIKE '9%' OR id = 3", 12), ("day IS NULL", 0),
				("NOT (day IN (DATE'2024-10-01', DATE'2024-10-02'))", 60), ("id BETWEEN 10 AND 19", 10)):
			steps.check("version %d: %s" % (version, wish), rows("SELECT count(*) FROM weir.p.t WHERE " + wish), [[str(found)]])
		rows("DELETE FROM weir.p.t WHERE id = 3")
		rows("UPDATE weir.p.t SET word = 'x' WHERE id = 4")
		steps.check("version %d: deleted and updated" % version, rows("SELECT count(*), sum(id), max(word) FROM weir.p.t"), [["99", "4947", "x"]])
		steps.check("version %d: with deletes, by partition" % version, rows("SELECT count(*) FROM weir.p.t WHERE day = DATE'2024-10-04'"), [["19"]])
		rows("DROP TABLE weir.p.t")
	rows("DROP NAMESPACE weir.p")
	count, statuses = watched.count("POST", "/plan$")
	steps.check("the server planned these scans alone (%d)" % count, (before, count >= 22, statuses), (0, True, [200]))
	steps.check("and plans are given up in peace", watched.count("DELETE", "/plan/")[1], [204])


def trino(catalog, steps):
	peer = Script("trino", "weir:iceberg.catalog.type=rest,iceberg.rest-catalog.uri=%s,fs.hadoop.enabled=true" % catalog.url)
	try:
		jvm_steps(catalog, steps, TRINO, lambda sql: trino_rows(peer, sql))
	finally:
		peer.stop()


def spark_of_bucket(url, more=()):
	"""Spark that knows the catalog and no key of the bucket."""
	own = "spark.sql.catalog.weir."
	return Script("spark", "rest=" + url, own + "io-impl=org.apache.iceberg.aws.s3.S3FileIO", own + "header.X-Iceberg-Access-Delegation=vended-credentials",
		*(own + word for word in more))


def spark_s3(catalog, steps, _):
	"""Every key that comes with a table seems to end soon, so that Spark asks for new ones, as it does in a long job."""
	soon = r'("s3\.session-token-expires-at-ms":")\d+', r"\g<1>%d" % (time.time() * 1000 + 60000)
	with tempfile.TemporaryDirectory(prefix="weir-rest-") as scratch, Watched(catalog, scratch, *soon) as watched:
		peer = spark_of_bucket(watched.url)
		try:
			jvm_steps(catalog, steps, SPARK, lambda sql: spark_rows(peer, sql))
		finally:
			peer.stop()
		count, statuses = watched.count("GET", "/credentials$")
		steps.check("keys that end are asked for anew (%d times)" % count, (count > 0, statuses), (True, [200]))


def spark_governed(lake, steps):
	peer = spark_of_bucket(lake.url, ["token=" + lake.token])
	try:
		found = spark_rows(peer, "SELECT purpose, count(*) FROM weir.gold.athlete_data GROUP BY purpose")
		steps.check("a consumer's slice of gold", found, [["research", str(lake.rows)]])
		steps.refused("silver is not its", "Forbidden", lambda: peer.ask("SELECT count(*) FROM weir.silver.telemetry"))
		steps.refused("its keys write nothing", "AccessDenied", lambda: peer.ask("DELETE FROM weir.gold.athlete_data"))
	finally:
		peer.stop()


def trino_of_bucket(url, bucket, more=""):
	return Script("trino", "weir:iceberg.catalog.type=rest,iceberg.rest-catalog.uri=%s,iceberg.rest-catalog.vended-credentials-enabled=true,"
		"fs.native-s3.enabled=true,s3.endpoint=%s,s3.region=us-east-1,s3.path-style-access=true%s" % (url, bucket.url, more))


def trino_s3(catalog, steps, bucket):
	peer = trino_of_bucket(catalog.url, bucket)
	try:
		jvm_steps(catalog, steps, TRINO, lambda sql: trino_rows(peer, sql))
	finally:
		peer.stop()


def trino_governed(lake, steps):
	peer = trino_of_bucket(lake.url, lake.bucket, ",iceberg.rest-catalog.security=OAUTH2,iceberg.rest-catalog.oauth2.token=" + lake.token)
	try:
		found = trino_rows(peer, "SELECT purpose, count(*) FROM weir.gold.athlete_data GROUP BY purpose")
		steps.check("a consumer's slice of gold", found, [["research", str(lake.rows)]])
		steps.refused("silver is not its", "Failed to load table: telemetry in silver", lambda: peer.ask("SELECT count(*) FROM weir.silver.telemetry"))
	finally:
		peer.stop()


SPARK = {
	"space": "CREATE NAMESPACE weir.s", "drop space": "DROP NAMESPACE weir.s",
	"create": "CREATE TABLE weir.s.t (id BIGINT, word STRING) USING iceberg PARTITIONED BY (bucket(4, id)) TBLPROPERTIES ('format-version' = '2',"
		" 'write.delete.mode' = 'merge-on-read', 'write.update.mode' = 'merge-on-read')",
	"as": "CREATE TABLE weir.s.c USING iceberg AS SELECT id, CAST(id AS STRING) AS word FROM range(100)",
	"add": "ALTER TABLE weir.s.t ADD COLUMN more DOUBLE", "rename column": "ALTER TABLE weir.s.t RENAME COLUMN word TO text",
	"spec": "ALTER TABLE weir.s.t ADD PARTITION FIELD truncate(2, text)",
	"upgrade": "ALTER TABLE weir.s.c SET TBLPROPERTIES ('format-version' = '3')",
}
TRINO = {
	"space": "CREATE SCHEMA weir.s", "drop space": "DROP SCHEMA weir.s",
	"create": "CREATE TABLE weir.s.t (id BIGINT, word VARCHAR) WITH (partitioning = ARRAY['bucket(id, 4)'])",
	"as": "CREATE TABLE weir.s.c AS SELECT id, CAST(id AS VARCHAR) AS word FROM UNNEST(sequence(0, 99)) AS s (id)",
	"add": "ALTER TABLE weir.s.t ADD COLUMN more DOUBLE", "rename column": "ALTER TABLE weir.s.t RENAME COLUMN word TO text",
	"spec": "ALTER TABLE weir.s.t SET PROPERTIES partitioning = ARRAY['bucket(id, 4)', 'truncate(text, 2)']",
	"upgrade": "ALTER TABLE weir.s.c SET PROPERTIES format_version = 3",
}


def jvm_steps(catalog, steps, words, rows):
	rows(words["space"])
	rows(words["create"])
	rows("INSERT INTO weir.s.t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
	steps.check("created and inserted", rows("SELECT * FROM weir.s.t ORDER BY id"), [["1", "a"], ["2", "b"], ["3", "c"]])
	rows("UPDATE weir.s.t SET word = 'z' WHERE id = 2")
	rows("DELETE FROM weir.s.t WHERE id = 3")
	steps.check("update and delete", rows("SELECT * FROM weir.s.t ORDER BY id"), [["1", "a"], ["2", "z"]])
	for step in ("add", "rename column", "spec"):
		rows(words[step])
	rows("INSERT INTO weir.s.t VALUES (4, 'dd', 0.5)")
	steps.check("evolved schema and spec", rows("SELECT id, text FROM weir.s.t WHERE more IS NOT NULL"), [["4", "dd"]])
	steps.check("two specs", len(catalog.metadata("s", "t")["partition-specs"]) > 1, True)
	rows("MERGE INTO weir.s.t t USING (SELECT CAST(1 AS BIGINT) AS id, 'm' AS text) u ON t.id = u.id WHEN MATCHED THEN UPDATE SET text = u.text")
	steps.check("merge", rows("SELECT text FROM weir.s.t WHERE id = 1"), [["m"]])
	rows(words["as"])
	steps.check("create as select", rows("SELECT count(*), sum(id) FROM weir.s.c"), [["100", "4950"]])
	rows(words["upgrade"])
	rows("DELETE FROM weir.s.c WHERE id < 10")
	steps.check("version 3", (catalog.metadata("s", "c")["format-version"], rows("SELECT count(*) FROM weir.s.c")), (3, [["90"]]))
	rows("CREATE VIEW weir.s.v AS SELECT id, text FROM weir.s.t WHERE id > 1")
	steps.check("a view", rows("SELECT count(*) FROM weir.s.v"), [["2"]])
	rows("CREATE OR REPLACE VIEW weir.s.v AS SELECT id FROM weir.s.t")
	steps.check("a view replaced", rows("SELECT count(*) FROM weir.s.v"), [["3"]])
	steps.check("its versions", len(catalog.ask("GET", "namespaces/s/views/v")[1]["metadata"]["versions"]), 2)
	rows("ALTER TABLE weir.s.c RENAME TO s.moved")
	steps.check("rename", rows("SELECT count(*) FROM weir.s.moved"), [["90"]])
	steps.refused("no such table", "(?i)cannot be found|does not exist", rows, "SELECT * FROM weir.s.c")
	rows("DROP VIEW weir.s.v")
	rows("DROP TABLE weir.s.moved")
	rows("DROP TABLE weir.s.t")
	rows(words["drop space"])
	steps.check("all gone", catalog.ask("GET", "namespaces")[1]["namespaces"], [])


# ---- the kit ----

def kit(catalog, steps):
	# The kit asks for a view's metadata in a temporary folder; the catalog writes within its warehouse alone.
	folder = os.path.join(catalog.data, "warehouse", "kit")
	os.makedirs(folder)
	wishes = "-Drck.requires-namespace-create=true -Drck.supports-names-with-dot=true -Djava.io.tmpdir=" + folder
	done = subprocess.run([os.path.join(PEERS, "rest", "rest"), "kit", catalog.url], capture_output=True, text=True, timeout=900,
		env={**os.environ, "RCK": wishes})
	count = lambda what: int((re.search(r"\[ *(\d+) tests %s" % what, done.stdout) or [0, "-1"])[1])
	for line in done.stdout.splitlines():
		passed = re.search(r"─ (\w+\([^)]*\)) ✔", line)
		if passed:
			print("ok    ", passed.group(1))
	# A class that cannot start counts as no failure: so what passed is counted, and compared with what the reference passes.
	if count("successful") < KIT_LEAST:
		print(done.stdout[-3000:], done.stderr[-2000:])
	steps.check("at least the reference's %d pass (%d did)" % (KIT_LEAST, count("successful")), count("successful") >= KIT_LEAST, True)
	steps.check("none fails", [line.strip() for line in done.stdout.splitlines() if "✘" in line], [])


def main():
	program, name = sys.argv[1:3]
	steps = Steps()
	start = time.time()
	for variable in [key for key in os.environ if key.startswith("AWS_")]:
		del os.environ[variable]
	if name.endswith("-s3"):
		with tempfile.TemporaryDirectory(prefix="weir-rest-") as scratch, Bucket(scratch) as bucket:
			catalog = Catalog(os.path.abspath(program), scratch)
			bucket.give(catalog)
			auditor = catalog.token("auditor")
			with catalog:
				peer, governed, given = {"pyiceberg-s3": (pyiceberg_s3, pyiceberg_s3_governed, auditor),
					"duckdb-s3": (duckdb_s3, duckdb_governed, None), "spark-s3": (spark_s3, spark_governed, None),
					"trino-s3": (trino_s3, trino_governed, bucket)}[name]
				peer(catalog, steps, given)
			if name == "pyiceberg-s3":
				no_token_service(catalog, steps)
			bucket.warehouse += "/lake"
			with GovernedLake(os.path.abspath(program), scratch, bucket) as lake:
				governed(lake, steps)
		print("%s: %.0f s" % (name, time.time() - start))
		return 1 if steps.failed else 0
	with tempfile.TemporaryDirectory(prefix="weir-rest-") as scratch, Catalog(os.path.abspath(program), scratch) as catalog:
		{"pyiceberg": pyiceberg, "duckdb": duckdb, "spark": spark, "trino": trino, "kit": kit}[name](catalog, steps)
		if name == "pyiceberg":
			pyiceberg_plans(catalog, steps, scratch)
	governed = {"pyiceberg": pyiceberg_governed, "duckdb": duckdb_governed}.get(name)
	if governed:
		with tempfile.TemporaryDirectory(prefix="weir-rest-") as scratch, GovernedLake(os.path.abspath(program), scratch) as lake:
			governed(lake, steps)
	print("%s: %.0f s" % (name, time.time() - start))
	return 1 if steps.failed else 0


if __name__ == "__main__":
	sys.exit(main())
