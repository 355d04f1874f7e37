"""Measurements of speed and memory, side by side with DuckDB alone. `make bench` runs them all."""
