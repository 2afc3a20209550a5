"""Appending one data file to a table of FILES data files (100000), beside PyIceberg and Iceberg's Java.

Each engine has a table of its own, made alike by weir, in a catalog in a SQLite file on the same disk. COMMITS (50) appends of a
file that is only spoken of, one after the other, the table kept open as a writer keeps it: manifest, manifest list, metadata file and
the pointer. weir syncs every file and its folder before the pointer moves, and SQLite syncs too; the others sync what SQLite does and
leave their files to the kernel. Weir then counts the files of all of them.
"""
import os

from . import host, peers, tables

COMMITS = int(os.environ.get("COMMITS", "50"))


def check(bench, folder, who):
	found = tables.measured([bench, "plan", folder, "files", "-", "-", "1"])[1]
	if found != tables.FILES + COMMITS:
		raise host.Failed(f"commit_append: {found} files after the commits of {who}, not {tables.FILES + COMMITS}")


def run(results):
	bench = tables.program("iceberg")
	python, java = peers.pyiceberg(results), peers.java(results)
	words = ["files", str(COMMITS)]
	folder = tables.spoken(bench, "commit")
	ours = tables.measured([bench, "commit", folder] + words)
	check(bench, folder, "weir")
	commands = {}
	if python is not None:
		commands["PyIceberg"] = lambda folder: python + [os.path.join(peers.HERE, "iceberg_peer.py"), "pyiceberg_commit", folder] + words
	if java is not None:
		commands["Iceberg Java"] = lambda folder: java + ["commit", folder] + words
	unit = f"ms, of {COMMITS} appends to {tables.FILES} files"
	if not commands:
		for share in (50, 95):
			results.add(f"commit_append.p{share}", host.percentile(ours[4], share / 100), unit)
	for peer, command in commands.items():
		folder = tables.spoken(bench, "commit")
		theirs = tables.measured(command(folder))
		check(bench, folder, peer)
		short = peer.split()[-1].lower()
		for share in (50, 95):
			results.add(f"commit_append.p{share}_{short}", host.percentile(ours[4], share / 100), unit, peer,
				host.percentile(theirs[4], share / 100))
		results.add(f"commit_append.memory_{short}", ours[3] / 2**20, "MiB", peer, theirs[3] / 2**20)
