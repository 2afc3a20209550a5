-- A TCX file's trackpoints as points; see fit.sql. Sport is Running, Biking or Other there.
SELECT
	athlete_id,
	timestamp,
	CASE WHEN sport IN ('biking', 'cycling') THEN 'cycling' WHEN sport = 'running' THEN 'running' ELSE 'training' END AS activity,
	'tcx' AS source,
	product AS device_type,
	'point' AS kind,
	heart_rate AS "metrics.heart_rate",
	power AS "metrics.power_watts",
	lat AS "metrics.gps_lat",
	lon AS "metrics.gps_lon",
	altitude AS "metrics.altitude_m",
	cadence AS "metrics.cadence",
	speed AS "metrics.speed_mps",
	distance AS "metrics.distance_m",
	lap AS "metrics.lap"
FROM input
