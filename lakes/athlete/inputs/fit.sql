-- A FIT file's records as points (the columns of `input` are those of every device file, see docs/reference/lake-yaml.md).
-- weir gives each its event_id, from its content; a record without time becomes a dead letter. A column "metrics.NAME" is
-- one metric, left out where it is null. Units: bpm, W, rpm (one leg's, when running), m, m/s, degrees (GPS, Celsius).
SELECT
	athlete_id,
	timestamp,
	CASE
	WHEN sport = 'running' AND sub_sport = 'trail' THEN 'trail_running'
	WHEN sport = 'running' AND sub_sport = 'treadmill' THEN 'treadmill_running'
	WHEN sport = 'cycling' AND sub_sport IN ('indoor_cycling', 'spin', 'virtual_activity') THEN 'indoor_cycling'
	WHEN sport = 'cycling' AND sub_sport IN ('mountain', 'downhill') THEN 'mountain_biking'
	WHEN sport = 'swimming' AND sub_sport IN ('lap_swimming', 'open_water') THEN sub_sport
	WHEN sport = 'generic' THEN 'training'
	ELSE coalesce(sport, 'training')
	END AS activity,
	coalesce(lower(manufacturer), 'fit') AS source,
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
	temperature AS "metrics.temperature_celsius",
	respiration AS "metrics.respiration_rate",
	core_temperature AS "metrics.core_temperature_celsius",
	lap AS "metrics.lap"
FROM input
