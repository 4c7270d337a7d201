"""HTML documents and local servers: document, tables, labels, plots; sign-in, security, answer log, database."""
