"""proxy.py PORT TARGET-PORT FILE [PATTERN TEXT]: passes HTTP on and writes each request with its answer to FILE, as JSON lines.

What of an answer fits PATTERN becomes TEXT, where the request's path does not end in /credentials.
"""
import http.client
import http.server
import json
import re
import sys
import threading

port, target, log = int(sys.argv[1]), int(sys.argv[2]), open(sys.argv[3], "a", buffering=1)
pattern, text = [word.encode() for word in sys.argv[4:6]] or (None, None)
lock = threading.Lock()
HOP = {"transfer-encoding", "content-length", "connection", "host", "accept-encoding", "date", "server"}


class Proxy(http.server.BaseHTTPRequestHandler):
	protocol_version = "HTTP/1.1"

	def log_message(self, *arguments):
		pass

	def chunks(self):
		while size := int(self.rfile.readline().split(b";")[0], 16):
			yield self.rfile.read(size)
			self.rfile.readline()
		self.rfile.readline()

	def handle_any(self):
		chunked = (self.headers.get("Transfer-Encoding") or "").lower() == "chunked"
		body = b"".join(self.chunks()) if chunked else self.rfile.read(int(self.headers.get("Content-Length") or 0))
		headers = {key: value for key, value in self.headers.items() if key.lower() not in HOP}
		headers["Content-Length"] = str(len(body))
		connection = http.client.HTTPConnection("127.0.0.1", target, timeout=60)
		connection.request(self.command, self.path, body, headers)
		answer = connection.getresponse()
		data = answer.read()
		if pattern and not self.path.endswith("/credentials"):
			data = re.sub(pattern, text, data)
		with lock:
			log.write(json.dumps({"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body.decode("utf8", "replace")[:4000], "status": answer.status,
				"answer": data.decode("utf8", "replace")[:4000]}) + "\n")
		self.send_response(answer.status)
		for key, value in answer.getheaders():
			if key.lower() not in HOP:
				self.send_header(key, value)
		if answer.status not in (204, 304):
			self.send_header("Content-Length", str(len(data)))
		self.end_headers()
		if self.command != "HEAD":
			self.wfile.write(data)

	do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_any


http.server.ThreadingHTTPServer(("127.0.0.1", port), Proxy).serve_forever()
