#!/usr/bin/env python3
"""weir on real S3 servers, whole and failing. usage: s3_peers.py STORE_TOOL WEIR minio|versitygw

The rules of stores over the server, over a cache of local copies, and through a proxy that fails (s3_proxy.py): nothing is lost,
nothing doubled, no upload left behind. Then a whole lake whose warehouse is a bucket: tests/e2e/run athlete, also through the
failing proxy; servers killed while they write; and no byte of a withdrawn subject in gold, neither in the bucket nor in the
local copies. Each line "ok ..." is a comparison that held; the first that does not ends the run with status 1.
"""

import glob
import hashlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.join(ROOT, "tools")]
from kit import leak  # noqa: E402
from kit.lake import Failed, Lake  # noqa: E402
from s3_client import Client  # noqa: E402

BUCKET = "weir-test"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    """A failing proxy in front of the server, as a `with`."""

    def __init__(self, upstream, percent, seed):
        self.port = free_port()
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, "s3_proxy.py"), str(self.port), str(upstream), str(seed),
            str(percent)], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"
        self.url = "http://127.0.0.1:%d" % self.port

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.met = self.process.communicate()[0].strip()


class Peer:
    def __init__(self, tool, weir, name):
        self.tool, self.weir, self.name = os.path.abspath(tool), os.path.abspath(weir), name
        self.port, self.seed = free_port(), int(os.environ.get("WEIR_SEED", random.SystemRandom().getrandbits(31)))
        self.work = tempfile.mkdtemp(prefix="weir-s3-")
        self.script = os.path.join(ROOT, "tests/peers/s3/s3")
        self.lakes = []

    def ok(self, text):
        print("ok %s: %s" % (self.name, text), flush=True)

    def start(self):
        env = dict(os.environ, PORT=str(self.port), DATA=os.path.join(self.work, "server"))
        done = subprocess.run([self.script, "start", self.name], env=env, stdout=subprocess.PIPE, text=True, check=True)
        self.url, self.key, self.secret = done.stdout.split()[-3:]
        for name in list(os.environ):
            if name.startswith("AWS_"):
                del os.environ[name]
        os.environ.update(AWS_ACCESS_KEY_ID=self.key, AWS_SECRET_ACCESS_KEY=self.secret, AWS_ENDPOINT_URL_S3=self.url)
        self.client = Client(self.url, self.key, self.secret)
        self.client.make_bucket(BUCKET)

    def stop(self):
        for lake in self.lakes:
            if lake.process is not None and lake.process.poll() is None:
                lake.kill()
        subprocess.run([self.script, "stop", self.name], env=dict(os.environ, DATA=os.path.join(self.work, "server")), check=False)
        shutil.rmtree(self.work, ignore_errors=True)

    # ---- the store ----

    def store(self, *words, url=None, expect=0, **env):
        done = subprocess.run([self.tool, url or self.url, *words], env=dict(os.environ, **env), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, timeout=600)
        if done.returncode != expect:
            raise Failed("store_tool %s: exit code %d\n%s%s" % (" ".join(words), done.returncode, done.stdout[-3000:],
                done.stderr[-5000:]))
        return done.stdout + done.stderr

    def rules(self, text, *words, url=None):
        prefix = "rules-" + uuid.uuid4().hex[:6]
        said = self.store(BUCKET, prefix, *words, url=url)
        for rule in re.findall(r"\[       OK \] (\w+)", said):
            self.ok("%s: %s" % (text, rule.replace("_", " ")))
        left, uploads = self.client.list(BUCKET, "rules-"), self.client.uploads(BUCKET, "rules-")
        for number in range(12):  # MinIO lists uploads by their whole key alone
            for name in ("x", "0", "1", "2"):
                uploads += self.client.uploads(BUCKET, "%s/%d/large/%s" % (prefix, number, name))
        if left or uploads:
            raise Failed("left behind: %s, uploads %s" % (left, uploads))
        self.ok(text + ": no object and no upload is left")

    def faults(self):
        for words in (["rules", "patient"], ["cached", os.path.join(self.work, "cache"), "patient"]):
            with Proxy(self.port, 20, self.seed) as proxy:
                self.rules("failing, " + words[0], *words, url=proxy.url)
            print("   ", proxy.met)

    def killed_upload(self):
        """Parts of a writer that was killed go away when the next one opens the store."""
        noted = os.path.join(self.work, "uploads")
        writer = subprocess.Popen([self.tool, self.url, BUCKET, "killed", "begin", noted], stdout=subprocess.PIPE, text=True)
        assert writer.stdout.readline() == "begun\n"
        writer.kill()
        writer.wait()
        if self.client.uploads(BUCKET, "killed/begun") != ["killed/begun"] or self.client.list(BUCKET, "killed"):
            raise Failed("a killed writer's upload is not there, or its object is")
        self.store(BUCKET, "killed", "open", noted)
        if self.client.uploads(BUCKET, "killed/begun") or glob.glob(noted + "/*"):
            raise Failed("a killed writer's upload is still there")
        self.ok("the parts of a killed writer are aborted at the next start")

    def refusals(self):
        noted = os.path.join(self.work, "uploads")
        said = self.store("no-such-bucket", "x", "open", noted, expect=1)
        if "no-such-bucket" not in said or "there is no such bucket" not in said:
            raise Failed(said)
        self.ok("a bucket that is missing is named")
        for env in ({"AWS_SECRET_ACCESS_KEY": "wrong-secret"}, {"AWS_ACCESS_KEY_ID": "nobody"}):
            said = self.store(BUCKET, "x", "open", noted, expect=1, **env)
            if "AWS_" not in said or self.secret in said or "wrong-secret" in said:
                raise Failed(said)
        self.ok("keys that do not fit are told without telling them")
        self.client.make_bucket("weir-versions")
        self.client.set_versioning("weir-versions", "Enabled")
        if "keeps versions" not in self.store("weir-versions", "x", "open", noted, expect=1):
            raise Failed("a bucket with versions was taken")
        self.client.set_versioning("weir-versions", "Suspended")
        self.store("weir-versions", "x", "open", noted)
        self.ok("a bucket that keeps versions is refused until they are suspended")

    def presigned(self):
        url = self.store(BUCKET, "signed", "presign", "a b/c+d", "2").strip()
        if urllib.request.urlopen(url).read() != b"presigned\n":
            raise Failed("a presigned URL gives other bytes")
        for other in (url.replace("/c%2Bd", "/other"), url[:-1] + ("0" if url[-1] != "0" else "1")):
            self.denied(other)
        time.sleep(3.5)
        self.denied(url)
        self.ok("a presigned URL reads its object, no other, and not for longer")

    def denied(self, url):
        try:
            urllib.request.urlopen(url)
        except urllib.error.HTTPError as answer:
            if answer.code != 403:
                raise Failed("%d instead of 403" % answer.code) from None
            return
        raise Failed("a presigned URL was good where it must not be")

    def sessions(self):
        """Keys of a session, with their token, and without it."""
        if self.name != "minio":
            return
        keys = self.client.session()
        url = self.store(BUCKET, "session", "presign", "x", "60", **keys).strip()
        if urllib.request.urlopen(url).read() != b"presigned\n":
            raise Failed("a session's URL gives other bytes")
        said = self.store(BUCKET, "session", "presign", "y", "60", expect=1, **dict(keys, AWS_SESSION_TOKEN="wrong"))
        if "AWS_" not in said or keys["AWS_SECRET_ACCESS_KEY"] in said:
            raise Failed(said)
        self.ok("a session's keys are good with their token, and not with another")

    # ---- a lake ----

    def e2e(self, text, **env):
        """The end-to-end script on a bucket."""
        prefix = "e2e-" + uuid.uuid4().hex[:6]
        done = subprocess.run([sys.executable, os.path.join(ROOT, "tests/e2e/run"), "athlete"], stdout=subprocess.PIPE, text=True,
            env=dict(os.environ, WEIR=self.weir, WEIR_WAREHOUSE="s3://%s/%s" % (BUCKET, prefix), WEIR_SEED=str(self.seed), **env))
        for step in re.findall(r"(?m)^ok +(.*?) +[0-9.]+ s$", done.stdout):
            self.ok("%s: %s" % (text, step))
        if done.returncode != 0:
            raise Failed(done.stdout[-6000:])
        if not any("/metadata/" in k for k in self.client.list(BUCKET, prefix)):
            raise Failed("the lake is not in the bucket")

    def lake(self, name):
        folder = os.path.join(self.work, name)
        shutil.copytree(os.path.join(ROOT, "lakes/athlete"), folder)
        path = os.path.join(folder, "lake.yaml")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        place = "{uri: s3://%s/%s, endpoint: \"${env:AWS_ENDPOINT_URL_S3}\", cache: 64MiB}" % (BUCKET, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(r"(?m)^warehouse: .*$", lambda _: "warehouse: " + place, text))
        self.lakes.append(Lake(self.weir, folder, os.path.join(self.work, name + "-data")))
        return self.lakes[-1]

    def event(self, subject, number, source="garmin"):
        return {"event_id": str(uuid.uuid4()), "athlete_id": subject, "activity": "running", "source": source,
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1738396800 + number * 7)),
            "metrics": {"heart_rate": 100 + number % 80}}

    def permit(self, lake, subject, purposes):
        lake.call("POST", "/api/consent/rules", {"userId": subject, "ruleId": "default", "effect": "permit", "dimensions": {
            "purpose": {"operator": "IN", "values": [{"value": p} for p in purposes]}}}, expect=200)

    def killed_lake(self):
        """kill -9 of a server that ingests, three times: what it acknowledged is there, once, and the lake proves itself."""
        lake, sent, sure = self.lake("killed-lake"), 0, 0
        for round_ in range(3):
            lake.start()
            self.permit(lake, "athlete", ["research"])
            until = time.monotonic() + 1 + round_ * 0.7
            while time.monotonic() < until:
                count = random.randrange(1, 200)
                events = [self.event("athlete", sent + i) for i in range(count)]
                while lake.call("POST", "/api/ingest", events, expect=(200, 503)).status == 503:
                    time.sleep(0.2)  # it takes no more now; the same ones again
                sent, sure = sent + count, sure + count
            lake.kill()
        lake.start()
        lake.call("POST", "/api/admin/settle", expect=200)
        for table in ("silver.telemetry", "gold.athlete_data"):
            got = lake.sql("SELECT count(*) AS n, count(DISTINCT event_id) AS d FROM " + table)[0]
            if (got["n"], got["d"]) != (sure, sure):
                raise Failed("%s has %s rows, %s were acknowledged" % (table, got, sure))
        lake.stop()
        lake.run("check")
        self.ok("kill -9 of a server, three times: its %d events are there, once, and the check proves it" % sure)

    def mirror(self, prefix):
        """The objects below a prefix as files."""
        folder = tempfile.mkdtemp(dir=self.work)
        for key in self.client.list(BUCKET, prefix):
            path = os.path.join(folder, key)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(self.client.call("GET", "/%s/%s" % (BUCKET, key)))
        return folder

    def no_byte(self):
        """After a withdrawal nothing of it is in gold; and a local copy is a copy of something that is there."""
        lake = self.lake("erased").start()
        subject, marker = "leaked-%08x" % random.getrandbits(32), "marker-%016x" % random.getrandbits(64)
        needles = {subject.encode(), marker.encode()}
        for who in (subject, "other"):
            self.permit(lake, who, ["research", "coaching"])
            lake.json("POST", "/api/ingest", [self.event(who, i, marker if who == subject else "garmin") for i in range(40)])
        lake.call("POST", "/api/admin/settle", expect=200)
        lake.sql("SELECT count(*) FROM gold.athlete_data WHERE heart_rate > 0")
        if not leak.find(self.mirror("erased/gold/"), needles)[1]:
            raise Failed("the scan sees nothing though the rows are there")
        for purpose in ("research", "coaching"):
            lake.call("DELETE", "/api/consent/rules/%s/%s" % (subject, purpose), expect=(200, 202, 204))
        lake.call("POST", "/api/admin/settle", expect=200)
        deadline = time.monotonic() + 60
        while found := leak.find(self.mirror("erased/gold/"), needles)[1]:
            if time.monotonic() > deadline:
                raise Failed("left in gold: %s" % found[:5])
            time.sleep(0.5)
        self.ok("no byte of a withdrawn subject is in gold's objects")
        if lake.sql("SELECT count(*) AS n FROM gold.athlete_data")[0]["n"] != 80:
            raise Failed("rows of the other subject are gone")
        lake.stop()
        objects = set()
        for folder, _, names in os.walk(self.mirror("erased/")):
            for name in names:
                with open(os.path.join(folder, name), "rb") as file:
                    objects.add(hashlib.sha256(file.read()).hexdigest())
        copies = glob.glob(os.path.join(lake.data, "cache", "?" * 32))
        for path in copies:
            with open(path, "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() not in objects:
                    raise Failed("a local copy of nothing: %s" % path)
        if not copies or glob.glob(os.path.join(lake.data, "cache", "tmp-*")):
            raise Failed("no local copies, or half ones: %s" % os.listdir(os.path.join(lake.data, "cache")))
        self.ok("each of %d local copies is one of an object that is there" % len(copies))
        with open(os.path.join(lake.logs, "serve.err"), "rb") as file:
            if self.secret.encode() in file.read():
                raise Failed("the log holds the secret key")
        self.ok("the log does not hold the secret key")

    def run(self):
        self.start()
        try:
            self.rules("whole", "rules")
            self.rules("whole, virtual host", "rules", "virtual", url="http://localhost:%d" % self.port)
            self.rules("whole, cached", "cached", os.path.join(self.work, "cache"))
            self.faults()
            self.killed_upload()
            self.refusals()
            self.presigned()
            self.sessions()
            self.e2e("lake")
            self.killed_lake()
            self.no_byte()
            with Proxy(self.port, 10, self.seed) as proxy:
                self.e2e("lake, failing", AWS_ENDPOINT_URL_S3=proxy.url)
            print("   ", proxy.met)
        finally:
            self.stop()


def main():
    if len(sys.argv) != 4:
        sys.exit("usage: s3_peers.py STORE_TOOL WEIR minio|versitygw")
    peer = Peer(*sys.argv[1:])
    print("seed %d" % peer.seed)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        peer.run()
    except (Failed, AssertionError, subprocess.SubprocessError) as failure:
        print("FAILED %s: %s" % (peer.name, failure))
        sys.exit(1)


if __name__ == "__main__":
    main()
