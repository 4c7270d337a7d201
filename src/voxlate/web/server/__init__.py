"""Local web servers: application, sign-in, security, database, answer log."""
