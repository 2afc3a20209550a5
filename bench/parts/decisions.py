"""decisions: consent decisions a second of one core, a million athletes with three rules each (bench/consent_bench.c)."""
import os
import re
import subprocess

from parts import host


def run(results):
    build = os.path.join(host.ROOT, "build")
    if os.path.exists(os.path.join(build, "build.ninja")):
        subprocess.run(["ninja", "-C", build, "bench_consent"], stdout=subprocess.DEVNULL, check=True)
    program = os.path.join(build, "bench_consent")
    if not os.path.exists(program):
        raise host.Failed("build/bench_consent is not there; build first")
    text = host.output_of([program])
    found = re.findall(r"(\d+) rows of a subject together:\s+([\d.]+) million decisions/s \((\d+) ns a row", text)
    if not found:
        raise host.Failed("bench_consent printed no decisions")
    for rows, millions, _ in found:
        together = "each row another athlete" if rows == "1" else f"{rows} rows of an athlete together"
        results.add(f"decisions.{together}", float(millions) * 1e6, "decisions/s and core")
    memory = re.search(r"(\d+) MiB", text)
    if memory:
        results.add("decisions.memory", float(memory.group(1)), "MiB, a million athletes, three rules each")
