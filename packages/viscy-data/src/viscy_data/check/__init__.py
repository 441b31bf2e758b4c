"""Checks of an experiments file or an anchors table: what was lost, to what, and what to set instead."""
