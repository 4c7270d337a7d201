"""The report of an evaluation folder, its viewer, and the page of a prepared cohort."""
