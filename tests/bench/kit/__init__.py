"""Measurements: what tests/bench/run is made of."""
