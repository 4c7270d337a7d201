"""Cohorts: selects pairs or single scans from an index by written rules, splits pairs, and writes BIDS."""
