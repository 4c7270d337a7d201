"""From an index and grades to a cohort: rules with reasons, pairs, splits by patient that never change silently."""
