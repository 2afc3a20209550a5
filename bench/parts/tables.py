"""Tables that bench_iceberg makes: of files that are only spoken of, and of the rows of parquet's inputs."""
import os
import subprocess

from . import host

FILES = int(os.environ.get("FILES", "100000"))
FIRST_US = 1735689600 * 10**6  # 2025-01-01, the first of 400 days
DAYS = 400


def program(name):
	"""bench/NAME_bench.c as a program, beside weir, made again where its sources are newer."""
	build = os.path.dirname(host.WEIR)
	path = os.path.join(build, "bench_" + name)
	made = None
	if os.path.exists(os.path.join(build, "build.ninja")):
		made = subprocess.run(["ninja", "-C", build, "bench_" + name], stdout=subprocess.PIPE, text=True, check=False)
	if made is not None and made.returncode != 0:
		raise host.Failed(f"bench_{name} cannot be built: {made.stdout[-1000:]}")
	if not os.path.exists(path):
		raise host.Failed(f"{path} is not there; build first")
	return path


def measured(command, cores=2):
	"""(value, found, cells, peak memory) of the last line of a program like iceberg_bench; and the lines before it."""
	lines = host.output_of(command, cores=cores).splitlines()
	words = lines[-1].split()
	return float(words[0]), int(words[1]), int(words[2]), int(words[3]), [float(line) for line in lines[:-1]]


def spoken(bench, name):
	"""A fresh folder with the table bench.files of FILES data files that are not there."""
	folder = host.fresh(name)
	host.say(f"making a table of {FILES:,} files ...")
	host.output_of([bench, "files", folder, "files", str(FILES)])
	return folder


def uri(bench, folder, table):
	"""The path of the table's current metadata file."""
	return host.output_of([bench, "uri", folder, table]).strip().removeprefix("file://")
