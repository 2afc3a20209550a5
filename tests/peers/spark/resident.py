"""A resident Spark session on a Unix socket: one SQL statement a line in, one JSON object a line out; \\q ends it."""
import json
import os
import socket
import sys
import time

from pyspark.sql import SparkSession

path, began = sys.argv[1], time.time()
spark = SparkSession.builder.getOrCreate()


def answer(sql):
	start = time.time()
	try:
		result = {"ok": True, "rows": [row.asDict(True) for row in spark.sql(sql).collect()]}
	except Exception as error:  # every failure is an answer
		lines = [line for line in str(error).splitlines() if line.strip() and not line.startswith("\t")]  # no stack traces
		result = {"ok": False, "error": " ".join(lines)[:2000]}
	result["ms"] = int((time.time() - start) * 1000)
	return json.dumps(result, default=str)


if os.path.exists(path):
	os.unlink(path)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(4)
print("ready", round(time.time() - began, 1), flush=True)
while True:
	client, _ = server.accept()
	stream = client.makefile("rwb")
	for line in stream:
		sql = line.decode().strip()
		if sql == "\\q":
			os.unlink(path)
			spark.stop()
			sys.exit(0)
		if sql:
			stream.write((answer(sql) + "\n").encode())
			stream.flush()
	client.close()
