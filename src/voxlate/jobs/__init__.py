"""Many cases, resumable: worker processes, run folders and ledgers."""
