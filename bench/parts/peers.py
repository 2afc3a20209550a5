"""The other engines: installed on first use by the scripts of tests/peers, into build/peers or the folder that PEERS names."""
import os
import signal
import subprocess

from . import host

PEERS = os.path.abspath(os.environ.get("PEERS", os.path.join(host.ROOT, "build", "peers")))
SCRIPTS = os.path.join(host.ROOT, "tests", "peers")
HERE = os.path.dirname(os.path.abspath(__file__))
INSTALL_S = 900


def script(name, *words, timeout=INSTALL_S, **more):
	"""The last line that tests/peers/NAME/NAME prints; host.Failed where it fails."""
	environment = dict(os.environ, PEERS=PEERS, **more)
	try:
		done = subprocess.run([os.path.join(SCRIPTS, name, name), *words], env=environment, stdout=subprocess.PIPE,
			stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)
	except subprocess.TimeoutExpired:
		raise host.Failed(f"{name} {words[0]} was not done after {timeout} s") from None
	if done.returncode != 0:
		raise host.Failed((done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}").splitlines()[-1])
	return (done.stdout.strip().splitlines() or [""])[-1]


def try_install(results, what, name, *words):
	try:
		host.say(f"{what} ...")
		script(name, *words)
		return True
	except host.Failed as problem:
		results.not_measured(what, str(problem))
		return False


def duckdb(results):
	"""How to run a program of bench/parts with DuckDB; None where it cannot be had."""
	return python(results, "DuckDB", "duckdb")


def pyiceberg(results):
	"""The same with PyIceberg and pyarrow."""
	return python(results, "PyIceberg", "iceberg")


def python(results, what, name):
	if not try_install(results, what, "python", name, "-c", "pass"):
		return None
	return ["env", f"PYTHONPATH={os.path.join(SCRIPTS, 'python')}", "PYTHONDONTWRITEBYTECODE=1",
		os.path.join(PEERS, "venv-" + name, "bin", "python")]


def java(results):
	"""How to run IcebergJava.java, on the libraries of the reference server; None where they cannot be had."""
	if not try_install(results, "Iceberg's Java", "rest", "install"):
		return None
	return ["java", "-Xmx3g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp", os.path.join(PEERS, "rest", "libs", "*"),
		os.path.join(HERE, "IcebergJava.java")]


# ---- processes that the scripts start ----

def family(pid):
	"""A process and all that descend from it."""
	parents = {}
	for name in os.listdir("/proc"):
		try:
			with open(f"/proc/{name}/stat") as file:
				parents[int(name)] = int(file.read().rpartition(")")[2].split()[1])
		except (OSError, ValueError):
			continue
	members = {pid}
	while more := {child for child, parent in parents.items() if parent in members} - members:
		members |= more
	return members


def cpu_seconds(pid):
	total = 0
	for member in family(pid):
		try:
			with open(f"/proc/{member}/stat") as file:
				words = file.read().rpartition(")")[2].split()
			total += int(words[11]) + int(words[12])
		except OSError:
			continue
	return total / os.sysconf("SC_CLK_TCK")


def peak_memory(pid):
	"""Bytes, of the one of the family that had the most."""
	most = 0
	for member in family(pid):
		try:
			with open(f"/proc/{member}/status") as file:
				lines = [line.split() for line in file if line.startswith("VmHWM")]
			most = max([most] + [int(words[1]) * 1024 for words in lines])
		except OSError:
			continue
	return most


class Started:
	"""A peer between `start` and `stop` of its script; .answer is what start printed, .pid its process."""

	def __init__(self, name, *words, **environment):
		self.name, self.words, self.environment = name, words, environment
		self.run = host.fresh("peer-" + name)
		self.environment["PEER_RUN"] = self.run

	def __enter__(self):
		self.answer = script(self.name, "start", *self.words, **self.environment)
		with open(os.path.join(self.run, self.name + ".pid")) as file:
			self.pid = int(file.read())
		return self

	def __exit__(self, *_):
		try:
			script(self.name, "stop", **self.environment)
		except host.Failed:
			os.kill(self.pid, signal.SIGTERM)
		return False

	def ask(self, *words):
		return script(self.name, *words, timeout=3600, **self.environment)
