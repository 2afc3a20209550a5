"""A resident Spark session on a Unix socket: one SQL statement a line in, one JSON object a line out; \\q ends it.

\\equality {"table": NAME, "columns": [...], "rows": [[...], ...]} commits equality deletes by Iceberg's Java classes, as Flink does.
"""
import json
import os
import socket
import sys
import time
import uuid

from pyspark.sql import SparkSession

path, began = sys.argv[1], time.time()
spark = SparkSession.builder.getOrCreate()


def equality(table, columns, rows):
	"""One delete file, under the table's first spec: where that has no fields, it is for every partition. An int past 32 bits comes to Java
	as a long, a smaller one not, and a long column refuses it."""
	iceberg = spark._jvm.org.apache.iceberg
	loaded = iceberg.spark.Spark3Util.loadIcebergTable(spark._jsparkSession, table)
	schema = loaded.schema().select(columns)
	ids = spark._sc._gateway.new_array(spark._jvm.int, len(columns))
	for i, column in enumerate(columns):
		ids[i] = loaded.schema().findField(column).fieldId()
	builder = iceberg.data.GenericFileWriterFactory.Builder(loaded).deleteFileFormat(iceberg.FileFormat.PARQUET)
	factory = builder.equalityFieldIds(ids).equalityDeleteRowSchema(schema).build()
	output = loaded.io().newOutputFile(loaded.locationProvider().newDataLocation("equality-%s.parquet" % uuid.uuid4()))
	writer = factory.newEqualityDeleteWriter(iceberg.encryption.EncryptedFiles.plainAsEncryptedOutput(output),
		loaded.specs().get(0), None)
	for row in rows:
		record = iceberg.data.GenericRecord.create(schema)
		for column, value in zip(columns, row):
			record.setField(column, value)
		writer.write(record)
	writer.close()
	loaded.newRowDelta().addDeletes(writer.toDeleteFile()).commit()
	return []


def rows_of(sql):
	if sql.startswith("\\equality "):
		return equality(**json.loads(sql[len("\\equality "):]))
	return [row.asDict(True) for row in spark.sql(sql).collect()]


def answer(sql):
	start = time.time()
	try:
		result = {"ok": True, "rows": rows_of(sql)}
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
