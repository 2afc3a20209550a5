"""ingest: events from one file to committed gold, and until compaction has nothing to do; ns an event by stage; beside DuckDB."""
import os
import re
import shutil
import subprocess
import sys

from parts import host

ATHLETES = 10000
STAGE_EVENTS = 1000000

# A sample belongs to the first stage that names a function of its stack.
STAGES = [
    ("start and stop", ["engine_open", "engine_close", "cli_api_open", "cli_api_close", "lake_read", "_dl_start", "_dl_init"]),
    ("compaction and re-index", ["jobs_step", "jobs_compact", "jobs_reindex", "ice_sorted_next", "ice_reader_next"]),
    ("commit", ["committer_main", "outputs_commit"]),
    ("control database", ["writer_main"]),
    ("log", ["log_main"]),
    ("read and split", ["json_splitter_next", "file_read"]),
    ("decode and validate", ["json_decode"]),
    ("compress the log's block", ["bus_block_seal"]),
    ("make blocks (copies)", ["packer_send", "load_flush", "packer_new"]),
    ("dedup", ["stream_dedup_seen", "stream_dedup_add", "shard_lookup_old"]),
    ("take (late, trace, gather)", ["shard_take"]),
    ("transform", ["epoch_transform"]),
    ("bronze", ["write_bronze"]),
    ("dead letters", ["write_letters"]),
    ("consent", ["consent_evaluate", "bind_rules"]),
    ("gold", ["write_gold"]),
    ("code and sort", ["weir_batches_encode", "weir_batches_order", "weir_batch_gather"]),
    ("silver", ["epoch_write"]),
    ("free the epoch", ["output_free", "epoch_free"]),
]


def stage_of(functions):
    for stage, names in STAGES:
        if any(name in functions for name in names):
            return stage
    return "other"


def stages(results, path, rules, events):
    """ns of CPU an event by stage, by perf's samples of a run of its own."""
    if shutil.which("perf") is None:
        host.say("no perf here: no stages")
        return
    data, recorded = host.new_lake("stages", rules), os.path.join(host.WORK, "perf.data")
    record = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock", "-F", "499", "--call-graph", "dwarf,16384", "-o", recorded,
                             host.WEIR, "ingest", host.LAKE, path, "--data", data], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, check=False)
    if record.returncode not in (0, 1) or not os.path.exists(recorded):
        host.say("perf could not record: no stages")
        return
    script = subprocess.Popen(["perf", "script", "-i", recorded, "--no-inline", "-F", "ip,sym"], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL)
    counts, functions, total = {}, set(), 0
    for line in script.stdout:
        line = line.decode(errors="replace").strip()
        if line:
            functions.add(re.sub(r"\..*", "", line.split(" ", 1)[-1]))
        elif functions:
            counts[stage_of(functions)] = counts.get(stage_of(functions), 0) + 1
            total += 1
            functions = set()
    script.wait()
    os.unlink(recorded)
    for stage in [name for name, _ in STAGES] + ["other"]:
        if stage in counts:
            results.add(f"ingest.stage.{stage}", counts[stage] / 499 / events * 1e9, "ns of CPU an event")
    results.add("ingest.stage.all", total / 499 / events * 1e9, "ns of CPU an event")


def duckdb(path, shares):
    out = host.fresh("duckdb")
    cost = host.measure([sys.executable, os.path.join(host.ROOT, "bench/parts/duckdb_peer.py"), path, out]
                        + [f"{share:.6f}" for share in shares])
    return cost, host.tree_bytes(out)


def add_costs(results, name, events, cost, peer):
    results.add(f"ingest.{name}", events / cost.wall_s, "events/s", "DuckDB", events / peer.wall_s)
    results.add(f"ingest.{name}.cpu", cost.cpu_s, "CPU s", "DuckDB", peer.cpu_s)
    results.add(f"ingest.{name}.cpu_event", cost.cpu_s / events * 1e9, "ns of CPU an event", "DuckDB", peer.cpu_s / events * 1e9)
    results.add(f"ingest.{name}.written", cost.written / 1e6, "MB written", "DuckDB", peer.written / 1e6)
    results.add(f"ingest.{name}.memory", cost.rss / 2**20, "MiB peak", "DuckDB", peer.rss / 2**20)


def run(results):
    events = host.EVENTS
    path, rules = host.events_file(events, ATHLETES)
    data = host.new_lake("ingest", rules)
    os.sync()
    host.read_through(path)
    gold = host.ingest(data, path)
    host.say(f"weir: {events / gold.wall_s:,.0f} events/s to committed gold, {gold.cpu_s:.1f} CPU s, {gold.rss >> 20} MiB")
    with host.Server(data) as server:
        server.settle()
        status = server.status()
    compacted = gold + server.cost
    accepted = status["streams"][0]["accepted"]
    shares = [purpose["rows"] / accepted for purpose in status["purposes"]]
    kept = host.tree_bytes(os.path.join(data, "warehouse"))
    shutil.rmtree(data)
    os.sync()
    host.read_through(path)
    peer, peer_kept = duckdb(path, shares)
    shutil.rmtree(os.path.join(host.WORK, "duckdb"))
    add_costs(results, "gold", events, gold, peer)
    add_costs(results, "compacted", events, compacted, peer)
    results.add("ingest.tables", kept / 1e6, "MB in the tables' directory", "DuckDB", peer_kept / 1e6)
    results.add("ingest.gold_rows", sum(purpose["rows"] for purpose in status["purposes"]), "rows in gold")
    if events > STAGE_EVENTS:
        path, rules = host.events_file(STAGE_EVENTS, ATHLETES)
    stages(results, path, rules, min(events, STAGE_EVENTS))
