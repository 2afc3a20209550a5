"""An HTTP proxy that fails on purpose, in front of an S3 server.

  s3_proxy.py PORT UPSTREAM-PORT SEED PERCENT

Of the requests so many percent meet one of: 500 or 503 instead of an answer, a connection cut before the server saw the
request, cut after it (the answer to a successful write is lost), an answer cut in its middle, a list that ends in its middle
though its length says that it is whole, silence for longer than the client waits. Ends with SIGTERM, and prints then how
often each was met.
"""
import collections
import http.client
import random
import signal
import socket
import sys
import threading
import time

FAULTS = ("500", "503", "cut before", "cut after", "half", "partial list", "silence")
met, lock = collections.Counter(), threading.Lock()


def read_head(stream):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline(65536)
        if not line:
            return None
        head += line
    return head


def length_of(head):
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


def ask(upstream, head, body):
    """The whole exchange with the server, as (head, body) of its answer."""
    method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", upstream, timeout=60)
    connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
    for line in head.split(b"\r\n")[1:-2]:
        name, _, value = line.decode().partition(":")
        connection.putheader(name, value.strip())
    connection.endheaders(body)
    answer = connection.getresponse()
    content = answer.read()
    lines = ["HTTP/1.1 %d %s" % (answer.status, answer.reason)]
    lines += ["%s: %s" % (k, v) for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection", "content-length")]
    size = answer.getheader("content-length") if method == "HEAD" else None
    lines.append("Content-Length: %s" % (len(content) if size is None else size))
    connection.close()
    return answer.status, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), content


def exchange(client, stream, upstream, fault):
    """False where the connection is to be closed."""
    head = read_head(stream)
    if head is None:
        return False
    body = stream.read(length_of(head))
    fault = fault()
    if fault:
        with lock:
            met[fault] += 1
    if fault in ("500", "503"):
        text = b"<Error><Code>%s</Code></Error>" % (b"InternalError" if fault == "500" else b"SlowDown")
        client.sendall(b"HTTP/1.1 %s Fault\r\nContent-Length: %d\r\n\r\n" % (fault.encode(), len(text)) +
            (b"" if head.startswith(b"HEAD") else text))
        return True
    if fault == "cut before":
        return False
    status, answer, content = ask(upstream, head, body)
    if fault == "cut after":
        return False
    if fault == "silence":
        time.sleep(4)
        return False
    if fault == "half" and content:
        client.sendall(answer + content[:len(content) // 2])
        return False
    if fault == "partial list" and content.startswith(b"<?xml"):
        content = content[:len(content) // 2].ljust(len(content))
    client.sendall(answer + content)
    return True


def serve(client, upstream, fault):
    stream = client.makefile("rb")
    try:
        while exchange(client, stream, upstream, fault):
            pass
    except OSError:
        pass
    finally:
        stream.close()
        client.close()


def main():
    port, upstream, seed, percent = (int(a) for a in sys.argv[1:5])
    dice = random.Random(seed)

    def fault():
        with lock:
            if dice.random() * 100 >= percent:
                return None
            return dice.choice(FAULTS if dice.random() < 0.1 else FAULTS[:-1])  # silence is rare: it costs seconds
    listener = socket.create_server(("127.0.0.1", port))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("ready", flush=True)
    try:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=serve, args=(client, upstream, fault), daemon=True).start()
    finally:
        print(dict(met), flush=True)


if __name__ == "__main__":
    main()
