"""The server of a reader study, and its page."""
