"""Reader studies: real and synthetic volumes, read blinded in a browser, and what the answers show."""
