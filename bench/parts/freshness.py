"""freshness: how long after its acknowledgement an event can be read from gold, by a query, at 10,000 events/s."""
import datetime
import json
import threading
import time
import urllib.parse
import uuid

from parts import host, query

PROBES_A_SECOND = 10
POLL_S = 0.02
GIVE_UP_S = 30


def permit(server):
    rule = {"userId": "probe", "effect": "permit", "dimensions": {"purpose": {"operator": "IN", "values": [{"value": "research"}]}}}
    status, body = server.call("POST", "/api/consent/rules", json.dumps(rule), {"Content-Type": "application/json"})
    if status != 200:
        raise host.Failed(f"the probe's rule was refused: {status} {body[:200]!r}")


def post_probes(server, until, waiting, lock, acks):
    """One probe event at a time, at a fixed rate; waiting: event_id -> (time of its acknowledgement, its timestamp)."""
    connection = server.connect()
    due = time.monotonic()
    while time.monotonic() < until:
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        event = {"event_id": str(uuid.uuid4()), "athlete_id": "probe", "timestamp": stamp, "activity": "running",
                 "metrics": {"heart_rate": 140}}
        sent = time.monotonic()
        status, body = server.call("POST", "/api/ingest", json.dumps(event), {"Content-Type": "application/json"}, connection)
        if status != 200:
            raise host.Failed(f"a probe was refused: {status} {body[:200]!r}")
        with lock:
            waiting[event["event_id"]] = time.monotonic(), stamp
        acks.append(time.monotonic() - sent)
        due += 1 / PROBES_A_SECOND
        time.sleep(max(0, due - time.monotonic()))


def watch(server, headers, until, waiting, lock):
    """Asks for the probes not yet seen, again and again; the seconds that each took."""
    connection, taken = server.connect(), []
    while time.monotonic() < until or (waiting and time.monotonic() < until + GIVE_UP_S):
        with lock:
            oldest = min((stamp for _, stamp in waiting.values()), default=None)
        if oldest is not None:
            target = "/api/query?purpose=research&athlete=probe&columns=event_id&startDate=" + urllib.parse.quote(oldest)
            status, body = server.call("GET", target, headers=headers, connection=connection)
            now = time.monotonic()
            if status != 200:
                raise host.Failed(f"the query for the probes: {status} {body[:200]!r}")
            with lock:
                for row in json.loads(body)["rows"]:
                    if row["event_id"] in waiting:
                        taken.append(now - waiting.pop(row["event_id"])[0])
        time.sleep(POLL_S)
    return taken


def run(results):
    data = query.lake("freshness")
    with host.Server(data) as server:
        permit(server)
        headers = server.consumer()
        posting = host.poster(server, query.INGEST_RATE * (host.SECONDS + 60), query.ATHLETES, query.INGEST_RATE)
        time.sleep(2)
        before, started = server.accepted(), time.monotonic()
        waiting, lock, acks = {}, threading.Lock(), []
        until = started + host.SECONDS
        thread = threading.Thread(target=post_probes, args=(server, until, waiting, lock, acks), daemon=True)
        thread.start()
        taken = watch(server, headers, until, waiting, lock)
        thread.join()
        rate = (server.accepted() - before) / (time.monotonic() - started)
        host.stop(posting)
    for share in (50, 99):
        results.add(f"freshness.p{share}", host.percentile(taken, share / 100), "s from acknowledgement until a query gives it")
    results.add("freshness.seen", len(taken), f"probes, {len(waiting)} not seen within {GIVE_UP_S} s")
    results.add("freshness.acknowledged.p50", host.percentile(acks, 0.5) * 1000, "ms until one event is acknowledged")
    results.add("freshness.acknowledged.p99", host.percentile(acks, 0.99) * 1000, "ms until one event is acknowledged")
    results.add("freshness.events", rate, f"events/s committed meanwhile, of {query.INGEST_RATE} sent")
