"""What the demo and the end-to-end tests share: a weir process (lake), DuckDB (duck) and a scan of bytes (leak)."""
