"""Compose batches: NumPy only."""
