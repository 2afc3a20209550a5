-- A GPX file's track points as points; see fit.sql. A track's type is free text; some programs write numbers.
SELECT
	athlete_id,
	timestamp,
	CASE
	WHEN sport IN ('running', 'run', '9') THEN 'running'
	WHEN sport IN ('trail_running', 'trailrun') THEN 'trail_running'
	WHEN sport IN ('cycling', 'biking', 'ride', '1') THEN 'cycling'
	WHEN sport IN ('walking', 'walk', '10') THEN 'walking'
	WHEN sport IN ('hiking', 'hike', '4') THEN 'hiking'
	WHEN sport IN ('swimming', 'swim', '16') THEN 'swimming'
	ELSE 'training'
	END AS activity,
	'gpx' AS source,
	product AS device_type,
	'point' AS kind,
	heart_rate AS "metrics.heart_rate",
	power AS "metrics.power_watts",
	lat AS "metrics.gps_lat",
	lon AS "metrics.gps_lon",
	altitude AS "metrics.altitude_m",
	cadence AS "metrics.cadence",
	speed AS "metrics.speed_mps",
	temperature AS "metrics.temperature_celsius"
FROM input
