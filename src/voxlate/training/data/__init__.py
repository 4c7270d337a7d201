"""Training data: the prepared cohort, windows drawn from it, augmentation, checks for duplicates."""
