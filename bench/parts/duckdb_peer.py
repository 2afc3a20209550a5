"""DuckDB doing what an ingest does, less consent, dedup and durability: one program, so that it is measured as weir is.

usage: duckdb_peer.py INPUT.ndjson OUTPUT_DIR SHARE...   (of the events, for each purpose)
       duckdb_peer.py --query 'SELECT ...'               (prints the first column of the first row)
"""
import ctypes
import glob
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PURPOSES = ["research", "education", "marketing", "coaching"]
METRICS = ["heart_rate", "blood_pressure_sys", "blood_pressure_dia", "oxygen_sat", "power_watts", "gps_lat", "gps_lon"]


class Result(ctypes.Structure):
    """duckdb_result of duckdb.h; all but internal_data is out of use."""
    _fields_ = [("column_count", ctypes.c_uint64), ("row_count", ctypes.c_uint64), ("rows_changed", ctypes.c_uint64),
                ("columns", ctypes.c_void_p), ("error_message", ctypes.c_char_p), ("internal_data", ctypes.c_void_p)]


class Duckdb:
    """One in-memory database with two threads, by the C API."""

    def __init__(self):
        found = glob.glob(os.path.join(ROOT, "third_party/duckdb/node_modules/@duckdb/node-bindings-linux-*/libduckdb.so"))
        if not found:
            raise SystemExit("duckdb_peer: libduckdb.so is not in third_party/duckdb; ./dev fetches it")
        self.api = ctypes.CDLL(found[0])
        self.api.duckdb_query.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(Result)]
        self.api.duckdb_result_error.restype = ctypes.c_char_p
        self.api.duckdb_value_varchar.argtypes = [ctypes.POINTER(Result), ctypes.c_uint64, ctypes.c_uint64]
        self.api.duckdb_value_varchar.restype = ctypes.c_char_p
        database, self.connection = ctypes.c_void_p(), ctypes.c_void_p()
        if self.api.duckdb_open(None, ctypes.byref(database)) != 0 or \
                self.api.duckdb_connect(database, ctypes.byref(self.connection)) != 0:
            raise SystemExit("duckdb_peer: cannot open a database")
        self.query("SET threads = 2")
        self.query("SET preserve_insertion_order = false")

    def query(self, sql):
        result = Result()
        if self.api.duckdb_query(self.connection, sql.encode(), ctypes.byref(result)) != 0:
            raise SystemExit(f"duckdb_peer: {self.api.duckdb_result_error(ctypes.byref(result)).decode()}")
        value = self.api.duckdb_value_varchar(ctypes.byref(result), 0, 0)
        self.api.duckdb_destroy_result(ctypes.byref(result))
        return value.decode() if value is not None else None


def write(duckdb, select, path, partition):
    duckdb.query(f"COPY ({select}) TO '{path}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 1, PARTITION_BY ({partition}))")


def main():
    duckdb = Duckdb()
    if sys.argv[1] == "--query":
        print(duckdb.query(sys.argv[2]))
        return
    source, out, shares = sys.argv[1], sys.argv[2], [float(share) for share in sys.argv[3:]]
    write(duckdb, f"SELECT json AS payload, now() AS received_at, current_date AS day FROM read_ndjson_objects('{source}', "
          "ignore_errors = true)", f"{out}/bronze", "day")
    metrics = ", ".join(f"TRY_CAST(metrics['{name}'] AS DOUBLE) AS {name}" for name in METRICS)
    known = ", ".join(f"'{name}'" for name in METRICS)
    sports = os.path.join(ROOT, "lakes/athlete/lookups/sports.csv")
    write(duckdb, f"""
        SELECT event_id, athlete_id, timestamp, activity, event_context, sport, source, device_type, {metrics},
            map_from_entries(list_filter(map_entries(metrics), lambda e: e.key NOT IN ({known}))) AS raw_metrics,
            timestamp::DATE AS day
        FROM read_json('{source}', format = 'newline_delimited', ignore_errors = true, columns = {{event_id: 'UUID',
            athlete_id: 'VARCHAR', timestamp: 'TIMESTAMPTZ', activity: 'VARCHAR', event_context: 'VARCHAR', source: 'VARCHAR',
            device_type: 'VARCHAR', metrics: 'MAP(VARCHAR, VARCHAR)'}})
        LEFT JOIN '{sports}' USING (activity)
        WHERE event_id IS NOT NULL AND timestamp IS NOT NULL""", f"{out}/silver", "day")
    # As many rows a purpose as the consent rules leave in weir's gold; which ones does not matter here.
    fan = " UNION ALL ".join(f"SELECT '{purpose}' AS purpose, {int(share * 1e6)} AS share" for purpose, share in zip(PURPOSES, shares))
    write(duckdb, f"""
        SELECT silver.* EXCLUDE (day), purpose, 1::BIGINT AS consent_lsn, 1 AS consent_version
        FROM read_parquet('{out}/silver/**/*.parquet') silver, ({fan}) fan
        WHERE hash(event_id) % 1000000 < share""", f"{out}/gold", "purpose")


main()
