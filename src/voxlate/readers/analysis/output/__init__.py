"""What the analysis writes: `analysis.json`, exports for other software, the report."""
