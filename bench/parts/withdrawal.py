"""withdrawal: acknowledged, invisible, no byte left: one subject and 1 % of them, in gold of a million and of ten million rows."""
import glob
import json
import os
import shutil
import subprocess
import sys
import time

from parts import host, peers

ATHLETES = 10000
PURPOSE = "research"
EVENTS_A_GOLD_ROW = 1.05
POLL_S = 0.002
GIVE_UP_S = 1800
LOOKS = 20


def on_disk(data, subjects):
    """Rows of the subjects for the purpose in any file under gold, live or not: by DuckDB, which knows no fence and no snapshot."""
    if not glob.glob(f"{data}/warehouse/gold/**/*.parquet", recursive=True):
        return 0
    names = ", ".join(f"'{subject}'" for subject in subjects)
    command = [sys.executable, os.path.join(host.ROOT, "bench/parts/duckdb_peer.py"), "--query",
               f"SELECT count(*) FROM read_parquet('{data}/warehouse/gold/**/*.parquet', hive_partitioning = false, "
               f"union_by_name = true) WHERE purpose = '{PURPOSE}' AND athlete_id IN ({names})"]
    for _ in range(LOOKS - 1):  # a file may go between its listing and its reading: then it is looked at anew
        try:
            return int(host.output_of(command))
        except host.Failed:
            time.sleep(0.2)
    return int(host.output_of(command))


def withdraw(server, connection, subject):
    """(number of the change, seconds until it was acknowledged)."""
    started = time.monotonic()
    status, body = server.call("DELETE", f"/api/consent/rules/{subject}/{PURPOSE}", connection=connection)
    if status != 200:
        raise host.Failed(f"a withdrawal was refused: {status} {body[:200]!r}")
    return json.loads(body)["lsn"], time.monotonic() - started


def rows_of(server, connection, headers, subject):
    status, body = server.call("GET", f"/api/query?purpose={PURPOSE}&athlete={subject}&limit=1", headers=headers, connection=connection)
    if status != 200:
        raise host.Failed(f"a query: {status} {body[:200]!r}")
    return len(json.loads(body)["rows"])


def wait_done(server, connection):
    started = time.monotonic()
    while True:
        consent = server.status()["consent"]
        if consent["tasks_open"] == 0 and consent["fence"] == 0:
            return
        if time.monotonic() - started > GIVE_UP_S:
            raise host.Failed(f"after {GIVE_UP_S} s there are open tasks")
        time.sleep(POLL_S)


def step(results, server, data, headers, subjects, name):
    """Withdraws the subjects; the files that hold their rows are known before, and watched until all are gone."""
    connection = server.connect()
    rows = on_disk(data, subjects)
    started, acks, invisible = time.monotonic(), [], 0
    for subject in subjects:
        acks.append(withdraw(server, connection, subject)[1])
    acknowledged = time.monotonic() - started
    for subject in subjects:
        invisible += rows_of(server, connection, headers, subject) == 0
    unseen = time.monotonic() - started
    wait_done(server, connection)
    done = time.monotonic() - started
    left = on_disk(data, subjects)
    while left > 0 and time.monotonic() - started < GIVE_UP_S:
        time.sleep(0.2)
        done, left = time.monotonic() - started, on_disk(data, subjects)
    results.add(f"{name}.acknowledged.p50", host.percentile(acks, 0.5) * 1000, "ms, one withdrawal")
    if len(acks) > 1:
        results.add(f"{name}.acknowledged.p99", host.percentile(acks, 0.99) * 1000, "ms, one withdrawal")
        results.add(f"{name}.acknowledged.all", acknowledged, f"s, {len(subjects)} subjects one after the other")
    results.add(f"{name}.invisible", unseen, f"s until asked for: {invisible} of {len(subjects)} gave no row at the first query after")
    results.add(f"{name}.no_byte_left", done, f"s; {rows} rows went, {left} left in any file of gold")


def step_outside(results, server, data, subjects, name):
    """Withdraws the subjects at once, while an engine that knows no fence reads the catalog's newest metadata again and again."""
    duckdb = peers.duckdb(results)
    if duckdb is None:
        return
    names = ", ".join(f"'{subject}'" for subject in subjects)
    watcher = subprocess.Popen(duckdb + [os.path.join(peers.HERE, "iceberg_peer.py"), "duckdb_outside", f"{data}/control.db", "gold", "athlete_data",
                                         f"purpose = '{PURPOSE}' AND athlete_id IN ({names})"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    if watcher.stdout.readline() != "ready\n":
        watcher.kill()
        raise host.Failed("the engine outside did not start")
    connection, started = server.connect(), time.monotonic()
    for subject in subjects:
        withdraw(server, connection, subject)
    print("go", file=watcher.stdin, flush=True)
    wait_done(server, connection)
    done = time.monotonic() - started
    looks = [line.split() for line in watcher.communicate()[0].splitlines()]
    if watcher.returncode != 0 or not looks or looks[-1][2] != "0":
        raise host.Failed("the engine outside did not come to an end")
    results.add(f"{name}.invisible_outside", float(looks[-1][0]) - started,
                f"s; {len(looks)} looks of DuckDB at the newest metadata of the catalog, the last one begun then gave no row")
    results.add(f"{name}.no_byte_left", done, f"s, with the looks beside it; {len(subjects)} subjects")


def run_size(results, rows):
    label = f"{rows / 1e6:g}M" if rows >= 1000000 else f"{rows // 1000}k"
    path, rules = host.events_file(int(rows * EVENTS_A_GOLD_ROW), ATHLETES, seed=4)
    data = host.new_lake("withdrawal", rules)
    host.ingest(data, path)
    with host.Server(data) as server:
        server.settle()
        headers = server.consumer()
        purposes = {purpose["name"]: purpose["rows"] for purpose in server.status()["purposes"]}
        found = server.sql(f"SELECT athlete_id FROM gold.athlete_data WHERE purpose = '{PURPOSE}' GROUP BY 1 ORDER BY hash(athlete_id)")
        subjects = [row["athlete_id"] for row in found]
        count = len(subjects) // 100
        results.add(f"withdrawal.{label}.gold_rows", sum(purposes.values()), f"rows, {purposes[PURPOSE]} of them for {PURPOSE}")
        step(results, server, data, headers, subjects[:1], f"withdrawal.{label}.one")
        step(results, server, data, headers, subjects[1:1 + max(count, 1)], f"withdrawal.{label}.percent")
        step_outside(results, server, data, subjects[1 + max(count, 1):1 + 2 * max(count, 1)], f"withdrawal.{label}.outside")
    results.add(f"withdrawal.{label}.cpu", server.cost.cpu_s, "CPU s of the server, its start and compaction included")
    shutil.rmtree(data)


def run(results):
    sizes = os.environ.get("ROWS", f"{host.EVENTS // 10},{host.EVENTS}").split(",")
    for size in sizes:
        run_size(results, int(size))
