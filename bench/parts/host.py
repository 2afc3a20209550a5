"""What every benchmark needs: where things are, processes that are measured, a lake, a server, and the results."""
import glob
import http.client
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORK = os.environ.get("BENCH_DIR", os.path.join(ROOT, "build", "bench"))
WEIR = os.environ.get("WEIR", os.path.join(ROOT, "build", "weir"))
LAKE = os.path.join(ROOT, "lakes", "athlete")
EVENTS = int(os.environ.get("EVENTS", "10000000"))
SECONDS = int(os.environ.get("SECONDS", "60"))
PURPOSES = ["research", "education", "marketing", "coaching"]
DAYS = 30


class Failed(Exception):
    """A benchmark could not be made; the text says why."""


def say(text):
    print(text, file=sys.stderr, flush=True)


def read_through(path):
    """Both sides find their input in memory: the disk's speed is not measured, and does not depend on who comes first."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass


# ---- processes ----

class Cost:
    """What one process took: seconds, CPU seconds, bytes that it wrote to files, peak memory."""

    def __init__(self, wall_s, usage):
        self.wall_s = wall_s
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.written = usage.ru_oublock * 512
        self.rss = usage.ru_maxrss * 1024

    def __add__(self, other):
        total = object.__new__(Cost)
        total.wall_s = self.wall_s + other.wall_s
        total.cpu_s = self.cpu_s + other.cpu_s
        total.written = self.written + other.written
        total.rss = max(self.rss, other.rss)
        return total


def wait(process, started):
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(time.monotonic() - started, usage)


def measure(command, allowed=(0,), **options):
    """Runs a command to its end, its start included; returns its Cost."""
    started = time.monotonic()
    process = subprocess.Popen(command, **options)
    cost = wait(process, started)
    if process.returncode not in allowed:
        raise Failed(f"{' '.join(command[:4])} ... ended with {process.returncode}")
    return cost


def output_of(command, cores=2, **options):
    """What a command prints; it and what it starts have so many cores."""
    mine = sorted(os.sched_getaffinity(0))
    hold = (lambda: os.sched_setaffinity(0, set(mine[-cores:]))) if cores < len(mine) else None
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, preexec_fn=hold, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(command[:4])} ... ended with {done.returncode}")
    return done.stdout.decode()


def compiled(name):
    """bench/NAME.c as a program; made again when its source, or a header beside it, is newer."""
    source, program = os.path.join(ROOT, "bench", name + ".c"), os.path.join(WORK, name)
    newest = max(os.path.getmtime(path) for path in [source, *glob.glob(os.path.join(ROOT, "bench", "*.h"))])
    if not os.path.exists(program) or os.path.getmtime(program) < newest:
        subprocess.run(["cc", "-std=gnu17", "-O2", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-pthread", "-o", program, source], check=True)
    return program


# ---- inputs: made once ----

def events_file(events, athletes, seed=1):
    """(events, rules): paths of a file of so many events and of the athletes' rules."""
    base = os.path.join(WORK, f"events-{events}-{athletes}-{seed}")
    paths = base + ".ndjson", base + ".rules.ndjson"
    if not all(os.path.exists(path) for path in paths):
        say(f"making {events:,} events of {athletes:,} athletes ...")
        part = base + ".part"
        output_of([WEIR, "gen", LAKE, "--athletes", str(athletes), "--days", str(DAYS), "--events", str(events),
                   "--seed", str(seed), "--rules", paths[1], "--out", part])
        os.rename(part, paths[0])
    return paths


def fresh(name):
    """An empty directory; what an earlier run left is deleted."""
    path = os.path.join(WORK, name)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def tree_bytes(path):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(path) for name in names)


def new_lake(name, rules):
    """A data directory with the rules put; not part of what is measured."""
    data = fresh(name)
    output_of([WEIR, "consent", "put", LAKE, rules, "--data", data])
    return data


def ingest(data, path):
    """Until all of the file is in committed gold. Exit 1 says that there were dead letters: the input has some."""
    return measure([WEIR, "ingest", LAKE, path, "--data", data], allowed=(0, 1), stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


# ---- a server ----

def free_port():
    with socket.socket() as at:
        at.bind(("127.0.0.1", 0))
        return at.getsockname()[1]


class Server:
    """`weir serve` on a data directory, from ready until the end of a with block; .cost afterwards."""

    def __init__(self, data):
        self.data, self.port, self.cost = data, free_port(), None

    def __enter__(self):
        self.log = open(os.path.join(WORK, "serve.log"), "ab")
        self.started = time.monotonic()
        self.process = subprocess.Popen([WEIR, "serve", LAKE, "--data", self.data, "--exact-port", "--listen",
                                         f"127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)
        while True:
            try:
                if self.get("/ready")[0] == 200:
                    return self
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() - self.started > 60:
                raise Failed(f"weir serve did not become ready; see {self.log.name}")
            time.sleep(0.01)

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.cost = wait(self.process, self.started)
        self.log.close()
        return False

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=3600)

    def call(self, method, target, body=None, headers=None, connection=None):
        """(status, body) of one request."""
        own = connection or self.connect()
        own.request(method, target, body=body, headers=headers or {})
        answer = own.getresponse()
        result = answer.status, answer.read()
        if connection is None:
            own.close()
        return result

    def get(self, target, **options):
        return self.call("GET", target, **options)

    def settle(self):
        """Until nothing is left to commit, to re-index or to compact."""
        status, body = self.call("POST", "/api/admin/settle?compacted=true")
        if status != 200:
            raise Failed(f"settle: {status} {body[:200]!r}")

    def status(self):
        return json.loads(self.get("/api/status")[1])

    def accepted(self):
        return self.status()["streams"][0]["accepted"]

    def consumer(self):
        """Headers of a consumer with every purpose."""
        command = [WEIR, "token", "create", LAKE, "--data", self.data, "--role", "consumer", "--consumer", "bench"]
        for purpose in PURPOSES:
            command += ["--purpose", purpose]
        secret = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
        return {"Authorization": "Bearer " + secret.decode().split()[-1]}

    def sql(self, statement):
        text = output_of([WEIR, "sql", LAKE, "--data", self.data, "--format", "ndjson", statement])
        return [json.loads(line) for line in text.splitlines()]


def poster(server, events, athletes, rate):
    """`weir gen` posting events at a rate, of days after those that are in the lake."""
    return subprocess.Popen([WEIR, "gen", LAKE, "--athletes", str(athletes), "--days", str(DAYS), "--start", "2025-06-01",
                             "--seed", "2", "--events", str(events), "--rate", str(rate), "--to",
                             f"http://127.0.0.1:{server.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.wait()


# ---- results ----

def percentile(values, share):
    return sorted(values)[int(share * (len(values) - 1))] if values else float("nan")


class Results:
    """Rows of the table and of bench.json; kept by name, so that a run of one benchmark replaces only its own."""

    def __init__(self):
        self.path = os.path.join(WORK, "..", "bench.json") if "BENCH_DIR" not in os.environ else os.path.join(WORK, "bench.json")
        self.path = os.path.normpath(self.path)
        self.rows = []
        self.missing = {}  # what was not measured: why; in order

    def add(self, name, value, unit, peer=None, peer_value=None):
        ratio = value / peer_value if peer_value else None
        self.rows.append({"name": name, "value": value, "unit": unit, "peer": peer, "peer_value": peer_value, "ratio": ratio})

    def not_measured(self, what, why):
        if what not in self.missing:
            self.missing[what] = why.strip()[:200] or "no reason is known"
            say(f"not measured: {what}: {self.missing[what]}")

    def saved(self):
        """The rows of bench.json."""
        try:
            with open(self.path) as file:
                return json.load(file)
        except (OSError, ValueError):
            return []

    def save(self):
        old = self.saved()
        groups = {group(row) for row in self.rows}
        rows = [row for row in old if group(row) not in groups] + self.rows
        with open(self.path + ".new", "w") as file:
            json.dump(rows, file, indent=1)
            file.write("\n")
        os.replace(self.path + ".new", self.path)

    def table(self):
        lines = ["| what | weir | unit | peer | its value | ratio |", "|---|---:|---|---|---:|---:|"]
        for row in self.rows:
            peer_value = number(row["peer_value"]) if row["peer_value"] is not None else ""
            ratio = f"{row['ratio']:.2f}" if row["ratio"] is not None else ""
            lines.append(f"| {row['name']} | {number(row['value'])} | {row['unit']} | {row['peer'] or ''} | {peer_value} | {ratio} |")
        lines += [f"not measured: {what}: {why}" for what, why in self.missing.items()]
        return "\n".join(lines)

    def side_by_side(self):
        """A table for each part: a line a measure, two columns a peer."""
        tables = []
        for part in dict.fromkeys(group(row) for row in self.rows):
            rows = [row for row in self.rows if group(row) == part]
            names = list(dict.fromkeys(row["peer"] for row in rows if row["peer"]))
            measures = {}
            for row in rows:
                end = "_" + (row["peer"] or "").split(" ")[-1].lower()
                name = row["name"][:-len(end)] if row["peer"] and row["name"].endswith(end) else row["name"]
                measure = measures.setdefault(name, {"unit": row["unit"], "value": row["value"]})
                measure[row["peer"]] = row["peer_value"], row["ratio"]
            lines = ["| what | unit | weir |" + "".join(f" {name} | ratio |" for name in names), "|---|---|---:|" + "---:|---:|" * len(names)]
            for name, measure in measures.items():
                cells = [measure.get(peer) or (None, None) for peer in names]
                lines.append(f"| {name} | {measure['unit']} | {number(measure['value'])} |" + "".join(
                    f" {number(value) if value is not None else ''} | {f'{ratio:.2f}' if ratio is not None else ''} |" for value, ratio in cells))
            tables.append("\n".join(lines))
        return "\n\n".join(tables)


def group(row):
    """The part of bench/parts that a row is of: its name begins with it."""
    return row["name"].replace("_", ".").split(".")[0]


def number(value):
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def two_cores():
    """The benchmarks are defined on two cores: this process and its children are pinned to two where there are more."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 2:
        os.sched_setaffinity(0, set(cores[:2]))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
