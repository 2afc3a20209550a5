-- silver.telemetry: exactly one row for each event of the stream, in standard units and with what lookups add.
--
-- This runs on every event, so it has no join: a small lookup is a map that is built once an execution (map[key] is NULL
-- where there is none), and rows can be neither dropped nor doubled. For a lookup of more than a few hundred
-- rows write LEFT JOIN lookup.NAME instead; its keys must then be unique.
-- metric(m, name) is the entry as a number; metrics_rest(m, name, ...) is the map without the entries so taken.
-- The inner SELECT picks the metrics apart before anything else touches the row: that is the cheaper order.
SELECT
	t.trace_id,
	t.event_id,
	t.athlete_id,
	t.timestamp,
	t.activity,
	-- The race that the point lies in: by activity, time window and great-circle distance (km); the first that starts.
	CASE
	WHEN t.event_context IS NOT NULL THEN t.event_context
	WHEN t.gps_lat IS NOT NULL AND t.gps_lon IS NOT NULL
		-- On most days there is no race at all.
		AND list_contains((SELECT list(DISTINCT day) FROM (
			SELECT unnest(range(epoch_us(starts) // 86400000000, epoch_us(ends) // 86400000000 + 1)) AS day
			FROM lookup.events)), epoch_us(t.timestamp) // 86400000000) THEN
		list_filter(
			list_filter(
				(SELECT map(list(activity), list(races)) FROM (
					SELECT activity, list({event_context: event_context, starts: starts, ends: ends, lat: lat, lon: lon,
						radius_km: radius_km} ORDER BY starts, event_context) AS races
					FROM lookup.events GROUP BY activity))[t.activity],
				lambda e: t.timestamp BETWEEN e.starts AND e.ends),
			lambda e: 2 * 6371.0 * asin(least(1, sqrt(sin(radians(e.lat - t.gps_lat) / 2) ** 2
				+ cos(radians(t.gps_lat)) * cos(radians(e.lat)) * sin(radians(e.lon - t.gps_lon) / 2) ** 2))) <= e.radius_km
		)[1].event_context
	END AS event_context,
	coalesce(t.sport, (SELECT map(list(activity), list(sport)) FROM lookup.sports)[t.activity]) AS sport,
	t.source,
	t.device_type,
	t.kind,
	t.period_start,
	t.period_end,
	t.is_late,
	t.heart_rate,
	t.blood_pressure_sys,
	t.blood_pressure_dia,
	t.oxygen_sat,
	t.power_watts,
	t.gps_lat,
	t.gps_lon,
	t.raw_metrics
FROM (
	SELECT
		trace_id,
		event_id,
		athlete_id,
		timestamp,
		activity,
		event_context,
		sport,
		source,
		device_type,
		coalesce(kind, 'point') AS kind,
		period_start,
		period_end,
		is_late,
		metric(metrics, 'heart_rate') AS heart_rate,
		metric(metrics, 'blood_pressure_sys') AS blood_pressure_sys,
		metric(metrics, 'blood_pressure_dia') AS blood_pressure_dia,
		metric(metrics, 'oxygen_sat') AS oxygen_sat,
		metric(metrics, 'power_watts') AS power_watts,
		metric(metrics, 'gps_lat') AS gps_lat,
		metric(metrics, 'gps_lon') AS gps_lon,
		metrics_rest(metrics, 'heart_rate', 'blood_pressure_sys', 'blood_pressure_dia', 'oxygen_sat', 'power_watts',
			'gps_lat', 'gps_lon') AS raw_metrics
	FROM telemetry) t
