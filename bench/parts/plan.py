"""Planning a scan over a table of FILES data files (100000), beside PyIceberg and Iceberg's Java: all files, and those of an hour.

The table is weir's: 400 days, partitioned by day, bounds for nine columns, files in the order of time. Each run opens the table
by its catalog (a SQLite file) and reads its metadata and manifests anew, with nothing cached by the engine; the fastest of TIMES (5)
counts, in a process that has run before, so that what a JVM compiles is compiled. All find the same number of files.
"""
import os

from . import host, peers, tables

TIMES = os.environ.get("TIMES", "5")
HOUR_US = 3600 * 10**6


def run(results):
	bench = tables.program("iceberg")
	folder = tables.spoken(bench, "plan")
	python, java = peers.pyiceberg(results), peers.java(results)
	hour = tables.FIRST_US + tables.DAYS // 2 * 24 * HOUR_US + 7 * HOUR_US
	for name, low, high in (("all", "-", "-"), ("hour", str(hour), str(hour + HOUR_US))):
		words = [folder, "files", low, high, TIMES]
		ours = tables.measured([bench, "plan"] + words)
		if name == "all" and ours[1] != tables.FILES:
			raise host.Failed(f"plan_all: {ours[1]} files of {tables.FILES}")
		others = {}
		if python is not None:
			others["PyIceberg"] = python + [os.path.join(peers.HERE, "iceberg_peer.py"), "pyiceberg_plan"] + words
		if java is not None:
			others["Iceberg Java"] = java + ["plan"] + words
		if not others:
			results.add(f"plan_{name}.ms", ours[0], f"ms, {ours[1]} of {tables.FILES} files")
		for peer, command in others.items():
			theirs = tables.measured(command)
			if theirs[1] != ours[1]:
				raise host.Failed(f"plan_{name}: {ours[1]} files, and {theirs[1]} of {peer}")
			short = peer.split()[-1].lower()
			results.add(f"plan_{name}.ms_{short}", ours[0], f"ms, {ours[1]} of {tables.FILES} files", peer, theirs[0])
			results.add(f"plan_{name}.memory_{short}", ours[3] / 2**20, "MiB", peer, theirs[3] / 2**20)
