-- How the Parquet files of this directory were made (DuckDB). old.parquet is the same table before a column was renamed
-- (athlete to athlete_id) and another added (note); field ids say which is which.
COPY (SELECT 'athlete-' || (i % 3) AS athlete, ('00000000-0000-4000-8000-' || lpad(i::VARCHAR, 12, '0'))::UUID AS event_id,
	'research' AS purpose, 10::BIGINT AS consent_lsn, (60 + i)::DOUBLE AS heart_rate,
	MAP {'cadence': (80 + i)::VARCHAR} AS raw_metrics,
	'2025-02-01 08:00:00+00'::TIMESTAMPTZ + to_seconds(i) AS timestamp FROM range(6) r(i))
TO 'old.parquet' (FIELD_IDS {athlete: 1, event_id: 2, purpose: 3, consent_lsn: 4, heart_rate: 5,
	raw_metrics: {__duckdb_field_id: 6, key: 7, value: 8}, timestamp: 9});
COPY (SELECT 'a note on reading ' || i AS note, 'coaching' AS purpose, 20::BIGINT AS consent_lsn, (100 + i)::DOUBLE AS heart_rate,
	('00000000-0000-4000-8000-' || lpad((i + 6)::VARCHAR, 12, '0'))::UUID AS event_id, 'athlete-' || (i % 3) AS athlete_id,
	MAP {'a': 'x', 'b': NULL} AS raw_metrics, '2025-03-01 08:00:00+00'::TIMESTAMPTZ + to_seconds(i) AS timestamp
	FROM range(6) r(i))
TO 'new.parquet' (FIELD_IDS {note: 10, purpose: 3, consent_lsn: 4, heart_rate: 5, event_id: 2, athlete_id: 1,
	raw_metrics: {__duckdb_field_id: 6, key: 7, value: 8}, timestamp: 9});
