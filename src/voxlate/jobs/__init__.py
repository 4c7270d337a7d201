"""Runs of many cases: states, run folders, ledgers, batches, executors and worker processes.

states       pending, done, refused, failed; how an error ends a case; counts and exit status
run_folder   one folder for one run: claim it by its settings, refuse other settings
results      whether the result of an earlier run can be used again
ledger       one line for each case that ended, safe against kills
batch        all cases of a table to their end, in shards
executors    in this process, in worker processes with limits, or on a Dask cluster
progress     how far a long job is, in one line per minute
processes    a map over items in several processes; clean stops at a signal
"""
