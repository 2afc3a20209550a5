"""query: 1,000 keep-alive connections, 250 requests/s at a fixed rate while 10,000 events/s come in; latency from when each was due."""
import json
import os
import random
import subprocess
import time

from parts import host

ATHLETES = 500
EVENTS_MAX = 1000000
CONNECTIONS = 1000
RATE = 250
INGEST_RATE = 10000
CLASSES = [("one athlete's day", 80), ("a page of 1,000 rows", 15), ("a whole purpose-day", 5)]


def lake(name):
    """A lake with history, compacted; (data, events in it)."""
    events = min(host.EVENTS, EVENTS_MAX)
    path, rules = host.events_file(events, ATHLETES, seed=3)
    data = host.new_lake(name, rules)
    host.ingest(data, path)
    with host.Server(data) as server:
        server.settle()
    return data


def requests(server, count):
    """(lines for query_load, rows of the mean purpose-day). No two alike by design: nothing could answer from a cache of answers."""
    draw = random.Random(1)
    cells = server.sql("SELECT purpose, athlete_id, timestamp::DATE::VARCHAR AS day, count(*) AS rows FROM gold.athlete_data GROUP BY ALL "
                       "ORDER BY ALL")
    days = {}
    for cell in cells:
        key = cell["purpose"], cell["day"]
        days[key] = days.get(key, 0) + int(cell["rows"])
    choices, lines = sorted(days), []
    for _ in range(count):
        kind = draw.choices(range(3), weights=[weight for _, weight in CLASSES])[0]
        if kind == 0:
            cell = draw.choice(cells)
            target = f"purpose={cell['purpose']}&athlete={cell['athlete_id']}&startDate={cell['day']}&endDate={cell['day']}"
        elif kind == 1:
            purpose, day = draw.choice(choices)
            target = f"purpose={purpose}&startDate={day}&limit=1000"
        else:
            purpose, day = draw.choice(choices)
            target = f"purpose={purpose}&startDate={day}&endDate={day}&limit=100000"
        lines.append(f"{kind} {'application/x-ndjson' if kind == 2 else 'application/json'} /api/query?{target}\n")
    return "".join(lines), sum(days.values()) / len(days), sum(int(cell["rows"]) for cell in cells) / len(cells)


def run(results):
    data, load = lake("query"), host.compiled("query_load")
    with host.Server(data) as server:
        headers = server.consumer()
        lines, day_rows, athlete_rows = requests(server, RATE * host.SECONDS)
        posting = host.poster(server, INGEST_RATE * (host.SECONDS + 60), ATHLETES, INGEST_RATE)
        time.sleep(2)
        before, started = server.accepted(), time.monotonic()
        environment = dict(os.environ, WEIR_TOKEN=headers["Authorization"].split()[1])
        done = subprocess.run([load, str(server.port), str(CONNECTIONS), str(RATE)], input=lines.encode(), stdout=subprocess.PIPE,
                              env=environment, check=True)
        seconds = time.monotonic() - started
        taken = (server.accepted() - before) / seconds
        host.stop(posting)
    answer = json.loads(done.stdout)
    for at, (name, _) in enumerate(CLASSES):
        found = answer["classes"][at]
        for share in ("p50", "p95", "p99"):
            results.add(f"query.{name}.{share}", found[f"{share}_ms"], "ms")
        results.add(f"query.{name}.answers", found["count"], f"answers, {found['errors']} errors")
        results.add(f"query.{name}.bytes", found["bytes"] / max(found["count"], 1), "bytes an answer")
    results.add("query.answered", answer["finished"] / seconds, f"requests/s of {RATE} asked, {CONNECTIONS} connections")
    results.add("query.events", taken, f"events/s committed meanwhile, of {INGEST_RATE} sent")
    results.add("query.rows.athlete_day", athlete_rows, "rows in a mean athlete's day of a purpose")
    results.add("query.rows.purpose_day", day_rows, "rows in a mean purpose-day")
    results.add("query.cpu", server.cost.cpu_s / seconds, "cores used by the server")
    results.add("query.memory", server.cost.rss / 2**20, "MiB peak")
