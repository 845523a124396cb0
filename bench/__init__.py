"""Measurements, each against a floor from the same run."""
