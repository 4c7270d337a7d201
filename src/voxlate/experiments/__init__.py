"""Experiments: systems trained, applied, evaluated and compared by one command, as a plan that can be resumed."""
