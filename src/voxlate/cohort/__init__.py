"""Cohorts: selects pairs of scans from an index by written rules, splits them, and writes them as BIDS."""
