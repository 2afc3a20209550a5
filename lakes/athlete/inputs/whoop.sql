-- WHOOP's documents (API v2: recovery and sleep; cycles where they carry a cycle_id) as aggregates. `input` has a text
-- column for each member of the document, nested ones as JSON text; which there are differs, so the row is
-- taken as one JSON object first. Scores are there only where score_state is SCORED.
-- timestamp is period_start: start, or where there is none the time at which the document was made; period_end alike.
SELECT
	athlete_id,
	coalesce(starts, made) AS timestamp,
	CASE
	WHEN json_exists(score, '$.stage_summary') OR nap IS NOT NULL THEN 'sleep'
	WHEN json_exists(score, '$.strain') THEN 'daily'
	ELSE 'recovery'
	END AS activity,
	'whoop' AS source,
	'wrist_band' AS device_type,
	'aggregate' AS kind,
	coalesce(starts, made) AS period_start,
	coalesce(ends, updated, made) AS period_end,
	score_state AS "metrics.score_state",
	json_extract_string(score, '$.recovery_score') AS "metrics.recovery_score",
	json_extract_string(score, '$.resting_heart_rate') AS "metrics.resting_heart_rate",
	json_extract_string(score, '$.hrv_rmssd_milli') AS "metrics.hrv_rmssd_milli",
	json_extract_string(score, '$.spo2_percentage') AS "metrics.spo2_percentage",
	json_extract_string(score, '$.skin_temp_celsius') AS "metrics.skin_temp_celsius",
	json_extract_string(score, '$.strain') AS "metrics.strain",
	json_extract_string(score, '$.kilojoule') AS "metrics.kilojoule",
	json_extract_string(score, '$.average_heart_rate') AS "metrics.heart_rate_avg",
	json_extract_string(score, '$.max_heart_rate') AS "metrics.heart_rate_max",
	json_extract_string(score, '$.respiratory_rate') AS "metrics.respiratory_rate_avg",
	json_extract_string(score, '$.sleep_performance_percentage') AS "metrics.sleep_performance_percentage",
	json_extract_string(score, '$.sleep_efficiency_percentage') AS "metrics.sleep_efficiency_percentage",
	json_extract_string(score, '$.stage_summary.total_in_bed_time_milli') AS "metrics.in_bed_time_milli",
	json_extract_string(score, '$.stage_summary.total_rem_sleep_time_milli') AS "metrics.rem_sleep_time_milli",
	json_extract_string(score, '$.stage_summary.total_slow_wave_sleep_time_milli') AS "metrics.slow_wave_sleep_time_milli",
	json_extract_string(score, '$.stage_summary.total_light_sleep_time_milli') AS "metrics.light_sleep_time_milli"
FROM (
	SELECT
		athlete_id,
		json_extract_string(document, '$.score_state') AS score_state,
		json_extract_string(document, '$.nap') AS nap,
		json_extract_string(document, '$.start')::TIMESTAMPTZ AS starts,
		json_extract_string(document, '$.end')::TIMESTAMPTZ AS ends,
		json_extract_string(document, '$.created_at')::TIMESTAMPTZ AS made,
		json_extract_string(document, '$.updated_at')::TIMESTAMPTZ AS updated,
		CASE WHEN json_extract_string(document, '$.score_state') = 'SCORED'
			THEN json_extract_string(document, '$.score')::JSON END AS score
	FROM (SELECT athlete_id, to_json(i) AS document FROM input i))
