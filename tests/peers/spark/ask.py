"""ask.py SOCKET STATEMENT...: sends each to the resident Spark, prints each answer; exits 1 where one failed."""
import json
import socket
import sys

client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
stream = client.makefile("rwb")
failed = False
for sql in sys.argv[2:] or sys.stdin:
	stream.write((" ".join(sql.split()) + "\n").encode())
	stream.flush()
	if sql.strip() == "\\q":
		break
	line = stream.readline().decode().strip()
	failed |= not json.loads(line)["ok"]
	print(line)
sys.exit(failed)
