"""The audit of batches for people: a plan file, tables, and one HTML page of what batches hold."""
