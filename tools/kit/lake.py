"""A weir program at work: commands, a server process and its HTTP API.

Lake(program, folder, data): run() is a command; start(), stop() and kill() are the server; call() is one request.
Threads: each has its own connection. What a server says goes to the files serve.out and serve.err in `logs`.
"""

import collections
import http.client
import json
import os
import re
import signal
import subprocess
import threading
import time

Answer = collections.namedtuple("Answer", "status headers body")


class Failed(Exception):
    """A command or a request that did not do what it had to; the text shows both sides."""


class Lake:
    def __init__(self, program, folder, data, logs=None):
        self.program, self.folder, self.data = program, folder, data
        self.logs = logs or os.path.dirname(data)
        self.process = self.url = None
        self.local = threading.local()
        os.makedirs(self.logs, exist_ok=True)

    # ---- commands ----

    def command(self, *words):
        """`weir A B ...` on this lake: "consent put", FILE -> weir consent put LAKE FILE --data DIR."""
        return [self.program, *words[0].split(), self.folder, *words[1:], "--data", self.data]

    def run(self, *words, expect=0, text=None):
        """Runs a command; its exit code must be `expect` (one, several, or None for any)."""
        command = self.command(*words)
        done = subprocess.run(command, input=text, capture_output=True, text=True)
        allowed = expect if isinstance(expect, (tuple, list)) else (expect,)
        if expect is not None and done.returncode not in allowed:
            raise Failed("$ %s\nexit code %d, expected %s\n%s%s" % (" ".join(command), done.returncode, allowed,
                done.stdout[-3000:], done.stderr[-3000:]))
        return done

    def sql(self, statement, auditor=False):
        """Rows as dictionaries."""
        done = self.run("sql", statement, "--format", "ndjson", *(("--as", "auditor") if auditor else ()))
        return [json.loads(line) for line in done.stdout.splitlines() if line]

    def number(self, statement, auditor=False):
        """The single value of a statement."""
        return next(iter(self.sql(statement, auditor)[0].values()))

    # ---- the server ----

    def start(self, *options, listen="127.0.0.1:0", seconds=60, session=False):
        """Starts a server and waits until it says where; session: it outlives this process's terminal."""
        out = os.path.join(self.logs, "serve.out")
        with open(out, "wb") as stdout, open(os.path.join(self.logs, "serve.err"), "ab") as stderr:
            self.process = subprocess.Popen(self.command("serve", "--listen", listen, *options), stdin=subprocess.DEVNULL,
                stdout=stdout, stderr=stderr, start_new_session=session)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with open(out, encoding="utf-8") as file:
                said = re.search(r"is served at (http\S+)", file.read())
            if said:
                self.url = said.group(1)
                self.local = threading.local()
                return self
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise Failed("weir serve did not start (exit code %s): see %s/serve.err\n%s" % (self.process.poll(), self.logs,
            self.log()[-2000:]))

    def log(self):
        with open(os.path.join(self.logs, "serve.err"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def stop(self, number=signal.SIGTERM, seconds=15):
        """Sends a signal and returns the exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed("weir serve did not end within %d s of signal %d" % (seconds, number)) from None

    def kill(self):
        self.process.kill()
        return self.process.wait()

    # ---- requests ----

    def call(self, method, target, body=None, headers=None, expect=None, token=None, timeout=120):
        """One request. expect: the status that it must have (one or several). Dictionaries and lists go as JSON."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        if isinstance(body, str):
            body = body.encode()
        if token:
            headers["Authorization"] = "Bearer " + token
        answer = self._send(method, target, body, headers, timeout)
        allowed = expect if isinstance(expect, (tuple, list)) else (expect,)
        if expect is not None and answer.status not in allowed:
            raise Failed(shown(method, target, headers, body, answer) + "\nexpected status %s" % (allowed,))
        return answer

    def _send(self, method, target, body, headers, timeout):
        # A connection that the server has closed meanwhile shows when it is used again: then a new one, once.
        for again in (True, False):
            connection = getattr(self.local, "connection", None)
            fresh = connection is None
            if fresh:
                host = self.url.split("//")[1].rstrip("/")
                connection = self.local.connection = http.client.HTTPConnection(host, timeout=timeout)
            try:
                connection.request(method, target, body, headers)
                response = connection.getresponse()
                return Answer(response.status, response.headers, response.read())
            except (http.client.HTTPException, OSError):
                connection.close()
                self.local.connection = None
                if fresh or not again:
                    raise

    def json(self, method, target, body=None, expect=200, **more):
        return json.loads(self.call(method, target, body, expect=expect, **more).body)


def shown(method, target, headers, body, answer):
    """A request and its answer, for people."""
    lines = ["> %s %s" % (method, target)] + ["> %s: %s" % (k, "Bearer ..." if k == "Authorization" else v)
        for k, v in headers.items()]
    if body:
        lines.append("> " + body[:1500].decode("utf-8", "replace"))
    lines.append("< %d" % answer.status)
    lines += ["< %s: %s" % pair for pair in answer.headers.items()]
    lines.append("< " + answer.body[:3000].decode("utf-8", "replace"))
    return "\n".join(lines)
