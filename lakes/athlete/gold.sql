-- gold.athlete_data: what consumers see of a silver row. A pure choice of columns, so that no SQL runs for it.
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
	kind,
	period_start,
	period_end,
	heart_rate,
	blood_pressure_sys,
	blood_pressure_dia,
	oxygen_sat,
	power_watts,
	gps_lat,
	gps_lon,
	raw_metrics
FROM telemetry
