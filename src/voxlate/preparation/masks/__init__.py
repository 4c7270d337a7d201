"""Brain masks: found, checked and cleaned."""
