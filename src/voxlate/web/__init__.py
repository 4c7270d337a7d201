"""HTML pages and local servers: one document, one access control, one database layer."""
