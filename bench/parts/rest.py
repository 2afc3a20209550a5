"""`weir catalog` beside Iceberg's own REST adapter (tests/peers/rest): loadTable and commits a second, the same client.

bench/rest_load.c asks both over keep-alive connections, one request after the other on each. **load**: GET of a table that is new, and of one with
COMMITS snapshots, SECONDS_REST (5) each, one connection and four. **commit**: COMMITS (200) appends a table, each connection on a table of its own:
a snapshot, and the branch that moves to it under the requirement that nobody else moved it. weir syncs the metadata file and its database before it
answers; the reference syncs what SQLite does. Client and server share the two cores. Both say the same of the tables in the end.
"""
import json
import os
import re
import subprocess
import urllib.request

from . import host, peers

COMMITS = int(os.environ.get("COMMITS_REST", "200"))
SECONDS = os.environ.get("SECONDS_REST", "5")
CONNECTIONS = (1, 4)
FIELDS = [("event_id", "uuid"), ("athlete_id", "string"), ("time", "timestamptz"), ("activity", "string"), ("event_context", "string"),
	("heart_rate", "double"), ("power_watts", "double"), ("gps_lat", "double"), ("gps_lon", "double")]


class WeirCatalog:
	"""`weir catalog` on a fresh folder; .url ends where /v1 begins."""

	def __enter__(self):
		self.log = open(os.path.join(host.WORK, "catalog.log"), "w")
		self.process = subprocess.Popen([host.WEIR, "catalog", "--data", host.fresh("rest-weir"), "--listen", "127.0.0.1:0"],
			stdout=subprocess.PIPE, stderr=self.log, text=True)
		found = re.search(r"http://\S+/iceberg", self.process.stdout.readline())
		if not found:
			raise host.Failed(f"weir catalog did not start; see {self.log.name}")
		self.url, self.pid = found.group(0), self.process.pid
		return self

	def __exit__(self, *_):
		host.stop(self.process)
		self.log.close()
		return False


class Reference(peers.Started):
	def __init__(self):
		folder = host.fresh("rest-reference")
		super().__init__("rest", folder + "/catalog.db", folder + "/warehouse", PORT=str(host.free_port()))

	def __enter__(self):
		super().__enter__()
		self.url = self.answer
		return self


def ask(server, method, path, body=None):
	request = urllib.request.Request(f"{server.url}/v1/{path}", json.dumps(body).encode() if body else None,
		{"Content-Type": "application/json"}, method=method)
	with urllib.request.urlopen(request, timeout=60) as answer:
		return json.loads(answer.read() or b"null")


def create(server, name):
	schema = {"type": "struct", "schema-id": 0, "fields": [{"id": i + 1, "name": field, "type": kind, "required": False}
		for i, (field, kind) in enumerate(FIELDS)]}
	ask(server, "POST", "namespaces/bench/tables", {"name": name, "schema": schema})


def load(client, server, what, name, connections, seconds):
	"""[answers a second, median ms, 99th percentile ms, answers, bytes of one]"""
	port, path = re.fullmatch(r"http://[^:/]+:(\d+)(.*)", server.url).groups()
	return [float(word) for word in host.output_of([client, what, port, f"{path}/v1/namespaces/bench/tables/{name}", str(connections), str(seconds)]).split()]


def measure(client, server):
	"""{name: answer of load}, facts that both servers must share, peak memory."""
	found, facts = {}, []
	ask(server, "POST", "namespaces", {"namespace": ["bench"]})
	create(server, "new")
	create(server, "warm0")
	load(client, server, "commit", "warm", 1, COMMITS // 4)
	for connections in CONNECTIONS:
		for i in range(connections):
			create(server, f"c{connections}_{i}")
		found[f"commit_{connections}"] = load(client, server, "commit", f"c{connections}_", connections, COMMITS)
		for i in range(connections):
			metadata = ask(server, "GET", f"namespaces/bench/tables/c{connections}_{i}")["metadata"]
			facts.append((len(metadata["snapshots"]), metadata["current-snapshot-id"], metadata["last-sequence-number"]))
	for connections in CONNECTIONS:
		for table, name in (("new", "new"), ("grown", f"c{CONNECTIONS[0]}_0")):
			load(client, server, "load", name, connections, 1)
			found[f"load_{table}_{connections}"] = load(client, server, "load", name, connections, SECONDS)
	facts.append(len(ask(server, "GET", "namespaces/bench/tables/new")["metadata"]["schemas"][0]["fields"]))
	return found, facts, peers.peak_memory(server.pid)


def run(results):
	client = host.compiled("rest_load")
	with WeirCatalog() as server:
		ours, our_facts, our_memory = measure(client, server)
	expected = [(COMMITS, COMMITS, COMMITS)] * sum(CONNECTIONS) + [len(FIELDS)]
	if our_facts != expected:
		raise host.Failed(f"rest: weir's tables are {our_facts}, not {expected}")
	theirs, their_memory, peer = {}, None, None
	if peers.try_install(results, "the reference server", "rest", "install"):
		try:
			with Reference() as server:
				theirs, facts, their_memory = measure(client, server)
			peer = "reference"
		except host.Failed as problem:
			results.not_measured("the reference server", str(problem))
		if peer is not None and facts != our_facts:
			raise host.Failed(f"rest: weir's tables are {our_facts}, the reference server's {facts}")
	for name, (rate, median, high, _, size) in ours.items():
		kind, connections = name.rsplit("_", 1)
		what = f"{'commits' if kind == 'commit' else f'answers of {size / 1e3:.1f} kB'}/s, {connections} connection{'' if connections == '1' else 's'}"
		other = theirs.get(name, [None] * 5)
		results.add(f"rest_{name}.rate", rate, what, peer, other[0])
		results.add(f"rest_{name}.p50", median, "ms", peer, other[1])
		results.add(f"rest_{name}.p99", high, "ms", peer, other[2])
	results.add("rest_memory", our_memory / 2**20, "MiB", peer, their_memory / 2**20 if their_memory else None)
