"""The index of an archive: reading of headers, storage, and the table of series."""
