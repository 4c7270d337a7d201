"""The schema of `evaluation.json` and `scores.tsv`: typed rows, tables, reading and writing."""
