"""Prints the names of all fuzzing targets, for `make fuzz`."""

from targets import TARGETS

print(" ".join(TARGETS))
