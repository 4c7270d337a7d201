"""The report of a comparison of systems: its table as a paper prints it, what is shown, tests, plots and pictures."""
