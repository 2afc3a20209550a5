"""The demo (tools/demo) with its tables in a bucket: it tells the same story as on local files, and leaves no byte there either.

    python3 tests/interop/demo_peers.py WEIR minio|versitygw      EVENTS=100000 ATHLETES=200

The demo runs twice, with the same events: on local files, then with `warehouse: s3://...` behind a cache of local copies. Whoever
looks at the bytes looks at a mirror of the bucket, which a client of its own (s3_client.py) makes anew each time. A line `ok` a
statement of the story that was true in the bucket, with the same numbers; FAILED otherwise, which also makes the exit code 1.
"""
import importlib.machinery
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

from engines import free_port
from s3_client import Client

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SCRIPT = os.path.join(ROOT, "tests", "peers", "s3", "s3")
BUCKET, PREFIX = "demo", "athletes/lake"
# What differs from run to run: times, and how rows are cut into files.
VARYING = (r"[0-9.,]+ (?=(s|ms|MiB|files|manifests)\b)", r"\([0-9.]+ s\)", r"can still be read \(\d+\)")


def story():
	"""tools/demo as a module: what it runs with are its variables."""
	loader = importlib.machinery.SourceFileLoader("demo", os.path.join(ROOT, "tools", "demo"))
	module = importlib.util.module_from_spec(importlib.util.spec_from_loader("demo", loader))
	loader.exec_module(module)
	return module


class Bucket:
	"""The demo's Warehouse in a bucket: a folder that becomes what the bucket holds, each time that it is asked for."""

	def __init__(self, client, mirror):
		self.client, self.mirror, self.kept = client, mirror, {}

	def folder(self, lake, name):
		below = "%s/%s/" % (PREFIX, name.replace(".", "/"))
		found = self.client.list(BUCKET, below)
		for key in [key for key in self.kept if key.startswith(below) and key not in found]:
			os.remove(self.kept.pop(key))
		for key in found:  # objects never change
			if key not in self.kept:
				path = os.path.join(self.mirror, key)
				os.makedirs(os.path.dirname(path), exist_ok=True)
				try:
					content = self.client.call("GET", "/%s/%s" % (BUCKET, key))
				except AssertionError:
					continue  # it went meanwhile
				with open(path, "wb") as file:
					file.write(content)
				self.kept[key] = path
		return os.path.join(self.mirror, below.rstrip("/"))

	def path(self, uri):
		return os.path.join(self.mirror, uri.removeprefix("s3://%s/" % BUCKET))


def tell(weir, folder, place=None, warehouse=None):
	"""Runs the story in a folder; what it found to be true, in order, and whether that was all of it."""
	demo, told, whole = story(), [], True
	demo.PROGRAM, demo.DEMO, demo.FOLDER = weir, os.path.join(folder, "demo"), os.path.join(folder, "lake")
	demo.PID, demo.LOADED = os.path.join(demo.DEMO, "pid"), os.path.join(demo.DEMO, "loaded")
	demo.EVENTS, demo.ATHLETES = int(os.environ.get("EVENTS", 100000)), int(os.environ.get("ATHLETES", 200))
	shutil.copytree(os.path.join(ROOT, "lakes", "athlete"), demo.FOLDER)
	if place:
		demo.WAREHOUSE = place
		path = os.path.join(demo.FOLDER, "lake.yaml")
		with open(path, encoding="utf-8") as file:
			text = re.sub(r"(?m)^warehouse: .*$", lambda _: "warehouse: " + warehouse, file.read())
		with open(path, "w", encoding="utf-8") as file:
			file.write(text)
	must = demo.must

	def noted(truth, text):
		must(truth, text)
		told.append(text)
	demo.must = noted
	os.environ.update(KEEP="no", PORT=free_port())
	try:
		if demo.start() != 0:
			raise demo.Failed("the demo's server did not stop")
	except demo.Failed as failure:
		whole = False
		print("FAILED %s: %s" % ("in the bucket" if place else "on local files", failure))
	finally:
		if demo.running_pid() is not None:
			demo.stop()
	return told, whole


def same(text):
	for pattern in VARYING:
		text = re.sub(pattern, "N ", text)
	return text


def main():
	weir, name = os.path.abspath(sys.argv[1]), sys.argv[2]
	signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is not left behind
	work = tempfile.mkdtemp(prefix="weir-demo-")
	server = {**os.environ, "PORT": free_port(), "DATA": os.path.join(work, "server")}
	try:
		keys = subprocess.run([SCRIPT, "start", name], env=server, check=True, stdout=subprocess.PIPE, text=True).stdout.split()[-3:]
		client = Client(*keys)
		client.make_bucket(BUCKET)
		os.environ.update(zip(("AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), keys))
		here, here_whole = tell(weir, os.path.join(work, "local"))
		there, there_whole = tell(weir, os.path.join(work, "bucket"), Bucket(client, os.path.join(work, "mirror")),
			'{uri: "s3://%s/%s", endpoint: "${env:AWS_ENDPOINT_URL_S3}", cache: 64MiB}' % (BUCKET, PREFIX))
		wrong = not (here_whole and there_whole) or len(here) != len(there) or not here
		for a, b in zip(here, there):
			alike = same(a) == same(b)
			print("ok  %s" % b if alike else "FAILED in the bucket: %s; on local files: %s" % (b, a))
			wrong = wrong or not alike
		left = os.path.join(work, "bucket", "demo", "data", "warehouse")
		print("FAILED tables are in %s" % left if os.path.exists(left) else "ok  no table is in a folder; %d objects in the bucket"
			% len(client.list(BUCKET, PREFIX)))
		return 1 if wrong or os.path.exists(left) else 0
	finally:
		subprocess.run([SCRIPT, "stop", name], env=server, check=False)
		shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
	sys.exit(main())
