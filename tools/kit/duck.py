"""DuckDB through its C library, by ctypes: a reader of Parquet files that knows nothing of weir.

In: the libduckdb.so that the build uses (third_party/duckdb, or DUCKDB_LIBRARY). Out: rows of texts. One connection,
in memory, one thread at a time. C API: duckdb.h, the part for whole results.
"""

import ctypes
import glob
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class _Result(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("columns", "rows", "changed")] + [
        (name, ctypes.c_void_p) for name in ("data", "error", "internal")]


def library_path():
    """Where libduckdb.so is, or None."""
    named = os.environ.get("DUCKDB_LIBRARY")
    found = [named] if named else glob.glob(
        os.path.join(ROOT, "third_party/duckdb/node_modules/@duckdb/node-bindings-linux-*/libduckdb.so"))
    return found[0] if found and os.path.exists(found[0]) else None


class Duck:
    """A database in memory."""

    def __init__(self):
        path = library_path()
        if path is None:
            raise RuntimeError("libduckdb.so is missing: run `make deps`, or name it in DUCKDB_LIBRARY")
        self.lib = lib = ctypes.CDLL(path)
        lib.duckdb_column_name.restype = ctypes.c_char_p
        lib.duckdb_result_error.restype = ctypes.c_char_p
        lib.duckdb_value_varchar.restype = ctypes.c_void_p
        lib.duckdb_value_varchar.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]
        lib.duckdb_value_is_null.restype = ctypes.c_bool
        lib.duckdb_value_is_null.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_uint64]
        lib.duckdb_free.argtypes = [ctypes.c_void_p]
        lib.duckdb_row_count.restype = lib.duckdb_column_count.restype = ctypes.c_uint64
        self.database, self.connection = ctypes.c_void_p(), ctypes.c_void_p()
        if lib.duckdb_open(None, ctypes.byref(self.database)) or lib.duckdb_connect(
                self.database, ctypes.byref(self.connection)):
            raise RuntimeError("DuckDB does not open a database in memory")

    def rows(self, sql):
        """All rows of a statement, each value as text or None."""
        result, lib = _Result(), self.lib
        at = ctypes.byref(result)
        try:
            if lib.duckdb_query(self.connection, sql.encode(), at):
                raise RuntimeError("DuckDB: %s\nin: %s" % ((lib.duckdb_result_error(at) or b"").decode(), sql))
            return [[self._value(at, column, row) for column in range(lib.duckdb_column_count(at))]
                    for row in range(lib.duckdb_row_count(at))]
        finally:
            lib.duckdb_destroy_result(at)

    def _value(self, result, column, row):
        if self.lib.duckdb_value_is_null(result, column, row):
            return None
        pointer = self.lib.duckdb_value_varchar(result, column, row)
        text = ctypes.cast(pointer, ctypes.c_char_p).value.decode()
        self.lib.duckdb_free(pointer)
        return text

    def count(self, sql):
        """The single number that a statement gives."""
        return int(self.rows(sql)[0][0])


def quoted(text):
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def parquet(files):
    """A FROM item over exactly these files."""
    return "read_parquet([%s], union_by_name = true, hive_partitioning = false)" % ", ".join(quoted(f) for f in files)
