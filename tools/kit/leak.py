"""Searches files for a text, compressed parts included: what is left of a removed row.

Parquet: the raw file (footer, statistics, page indexes) and every page of every column chunk, decompressed
(parquet-format, parquet.thrift; Thrift compact protocol). Avro: every block, decompressed and decoded, so that an
entry of a manifest can be told from its neighbour (Avro 1.12, "Object Container Files"). Anything else: the raw bytes.
A file that cannot be decoded is an error, never a pass.

scan() is about one purpose of a subject below one gold table, find() about any bytes below any directory, and control_left() about
the control database: its tables, its free pages and its log.
"""

import ctypes
import ctypes.util
import json
import os
import shutil
import sqlite3
import struct
import tempfile
import zlib


# ---- decompression ----

def _zstd(data, size):
    lib = _zstd.lib = getattr(_zstd, "lib", None) or ctypes.CDLL(ctypes.util.find_library("zstd") or "libzstd.so.1")
    lib.ZSTD_decompress.restype = ctypes.c_size_t
    lib.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    out = ctypes.create_string_buffer(size + 1)
    if lib.ZSTD_decompress(out, size, data, len(data)) != size:
        raise ValueError("a zstd page does not decompress to its size")
    return out.raw[:size]


def _page(codec, data, size):
    if codec == 0 or not data:
        return data
    if codec == 2:
        return zlib.decompress(data, 47)
    if codec == 6:
        return _zstd(data, size)
    raise ValueError("no decoder for Parquet codec %d" % codec)


# ---- Parquet ----

class _Thrift:
    """Thrift's compact protocol: a struct becomes {field id: value}."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def varint(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def value(self, kind):
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            self.at += 1
            return self.data[self.at - 1]
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            self.at += 8
            return struct.unpack("<d", self.data[self.at - 8:self.at])[0]
        if kind == 8:
            size = self.varint()
            self.at += size
            return self.data[self.at - size:self.at]
        if kind in (9, 10):
            head = self.data[self.at]
            self.at += 1
            count = head >> 4 if head >> 4 != 15 else self.varint()
            if head & 15 in (1, 2):
                self.at += count
                return self.data[self.at - count:self.at]
            return [self.value(head & 15) for _ in range(count)]
        if kind == 12:
            return self.struct()
        raise ValueError("Thrift type %d" % kind)

    def struct(self):
        fields, field = {}, 0
        while True:
            head = self.data[self.at]
            self.at += 1
            if head == 0:
                return fields
            field = field + (head >> 4) if head >> 4 else self.zigzag()
            fields[field] = self.value(head & 15)


def parquet_parts(data):
    """The file as it is, then each page decompressed."""
    yield data
    if data[:4] != b"PAR1" or data[-4:] != b"PAR1":
        raise ValueError("not a Parquet file")
    size = struct.unpack("<I", data[-8:-4])[0]
    for group in _Thrift(data, len(data) - 8 - size).struct()[4]:
        for chunk in group[1]:
            meta = chunk[3]
            at = min(meta[9], meta.get(11, meta[9]))
            end = at + meta[7]
            while at < end:
                thrift = _Thrift(data, at)
                head = thrift.struct()
                body = data[thrift.at:thrift.at + head[3]]
                at = thrift.at + head[3]
                levels = head[8].get(5, 0) + head[8].get(6, 0) if head[1] == 3 else 0
                packed = head[1] != 3 or head[8].get(7, True)
                yield body[:levels] + (_page(meta[4], body[levels:], head[2] - levels) if packed else body[levels:])


def parquet_blooms(data):
    """How many column chunks have a bloom filter."""
    size = struct.unpack("<I", data[-8:-4])[0]
    groups = _Thrift(data, len(data) - 8 - size).struct()[4]
    return sum(14 in chunk[3] for group in groups for chunk in group[1])


# ---- Avro ----

class _Avro:
    def __init__(self, data):
        self.data, self.at, self.names = data, 0, {}

    def take(self, size):
        self.at += size
        return self.data[self.at - size:self.at]

    def long(self):
        thrift = _Thrift(self.data, self.at)
        value = thrift.zigzag()
        self.at = thrift.at
        return value

    def blocks(self, read):
        items = []
        while True:
            count = self.long()
            if count == 0:
                return items
            if count < 0:
                count = -count
                self.long()
            items.extend(read() for _ in range(count))

    def value(self, schema):
        if isinstance(schema, list):
            return self.value(schema[self.long()])
        kind = schema if isinstance(schema, str) else schema["type"]
        if isinstance(kind, (dict, list)):
            return self.value(kind)
        if isinstance(schema, dict) and "name" in schema:
            self.names[schema["name"]] = schema
        if kind in ("int", "long"):
            return self.long()
        if kind in ("bytes", "string"):
            return self.take(self.long())
        if kind == "null":
            return None
        if kind == "boolean":
            return self.take(1) == b"\1"
        if kind in ("float", "double"):
            return self.take(4 if kind == "float" else 8)
        if kind == "fixed":
            return self.take(schema["size"])
        if kind == "enum":
            return schema["symbols"][self.long()]
        if kind == "array":
            return self.blocks(lambda: self.value(schema["items"]))
        if kind == "map":
            return self.blocks(lambda: (self.value("string"), self.value(schema["values"])))
        if kind == "record":
            return {field["name"]: self.value(field["type"]) for field in schema["fields"]}
        return self.value(self.names[kind])


def avro_records(data):
    """The header's metadata, and all records as dictionaries."""
    avro = _Avro(data)
    if avro.take(4) != b"Obj\1":
        raise ValueError("not an Avro file")
    meta = dict(avro.value({"type": "map", "values": "bytes"}))
    schema, codec, sync, records = json.loads(meta[b"avro.schema"]), meta.get(b"avro.codec", b"null"), avro.take(16), []
    while avro.at < len(data):
        count, block = avro.long(), avro.take(avro.long())
        if avro.take(16) != sync:
            raise ValueError("an Avro block ends without its marker")
        if codec == b"deflate":
            block = zlib.decompress(block, -15)
        elif codec != b"null":
            raise ValueError("no decoder for Avro codec %r" % codec)
        inner = _Avro(block)
        inner.names = avro.names
        records.extend(inner.value(schema) for _ in range(count))
    return meta, records


def _holds(value, needle):
    if isinstance(value, (bytes, bytearray)):
        return needle in value
    if isinstance(value, dict):
        return any(_holds(v, needle) for v in value.values())
    if isinstance(value, (list, tuple)):
        return any(_holds(v, needle) for v in value)
    return False


# ---- the scan ----

def files_under(root):
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)


def scan(root, subject, purpose, purposes_in):
    """Finds what is left of (subject, purpose) below a gold table's directory.

    purposes_in(file): the purposes for which that Parquet file has rows of the subject, as another reader says.
    Returns ({"files", "bytes", "decoded"}, [what was found, one text each]).
    """
    needle, seen, found = subject.encode(), {"files": 0, "bytes": 0, "decoded": 0}, []
    for path in files_under(root):
        name = os.path.relpath(path, root)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            continue  # destroyed while we looked
        seen["files"] += 1
        seen["bytes"] += len(data)
        if needle in name.encode():
            found.append("%s: in the path" % name)
        if path.endswith(".parquet"):
            hit = False
            for part in parquet_parts(data):
                seen["decoded"] += len(part)
                hit = hit or needle in part
            if hit:
                purposes = purposes_in(path)
                if purpose in purposes or not purposes:
                    found.append("%s: pages or footer hold the subject" % name)
        elif path.endswith(".avro"):
            meta, records = avro_records(data)
            seen["decoded"] += len(data)
            if _holds(meta, needle):
                found.append("%s: in the header" % name)
            for record in records:
                if _holds(record, needle):
                    partition = (record.get("data_file") or {}).get("partition") or {}
                    if partition.get("purpose") in (None, purpose.encode()):
                        found.append("%s: in an entry of the purpose" % name)
        elif needle in data:
            found.append("%s: in its bytes" % name)
    return seen, found


def needles_in(path, data, needles):
    """Those of the texts (bytes) that the file holds: in its name, as it is, or decompressed."""
    left = {n for n in needles if n in path.encode() or n in data}
    for part in parquet_parts(data) if path.endswith(".parquet") else ():
        left |= {n for n in needles if n in part}
    for value in avro_records(data) if path.endswith(".avro") else ():
        left |= {n for n in needles if _holds(value, n)}
    return left


def find(root, needles, skip=()):
    """Files below root that hold one of the texts (bytes); skip: names below root that are left out, with what is below them.

    Returns (files looked at, [what was found, one text each]).
    """
    looked, found = 0, []
    for path in files_under(root):
        name = os.path.relpath(path, root)
        if any(name == s or name.startswith(s + os.sep) for s in skip):
            continue
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            continue  # destroyed while we looked, or a socket
        looked += 1
        found += ["%s: holds %r" % (name, n) for n in sorted(needles_in(path, data, needles))]
    return looked, found


# ---- the control database ----

def control_left(path, needles, allowed):
    """Where a control database holds one of the texts (bytes): in tables other than the allowed ones, in free pages, in its log.

    Works on a copy, of which the rows of the allowed tables are deleted with their bytes: what is left then is where it must not be.
    """
    found, work = [], tempfile.mkdtemp(prefix="weir-control-")
    try:
        copy = os.path.join(work, "control.db")
        for end in ("", "-wal"):
            if os.path.exists(path + end):
                shutil.copyfile(path + end, copy + end)
        if os.path.exists(copy + "-wal"):
            with open(copy + "-wal", "rb") as file:
                log = file.read()
            found += ["its log (-wal): holds %r" % n for n in needles if n in log]
        database = sqlite3.connect(copy)
        database.text_factory = bytes
        database.execute("PRAGMA secure_delete = ON")
        tables = [row[0].decode() for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        missing = [t for t in allowed if t not in tables]
        if missing:
            raise ValueError("the control database has no table %s" % ", ".join(missing))
        for table in tables:
            for row in database.execute('SELECT * FROM "%s"' % table):
                held = [n for n in needles for cell in row if isinstance(cell, bytes) and n in cell]
                if held and table not in allowed:
                    found.append("table %s: a row holds %r" % (table, held[0]))
        for table in allowed:
            database.execute('DELETE FROM "%s"' % table)
        database.commit()
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("PRAGMA journal_mode = DELETE")
        database.close()
        with open(copy, "rb") as file:
            pages = file.read()
        found += ["free pages, or a table that was not read: hold %r" % n for n in needles if n in pages]
        return found
    finally:
        shutil.rmtree(work)
