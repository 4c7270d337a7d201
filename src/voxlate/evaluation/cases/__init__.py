"""One case: reading, regions, intensity scaling, scores and the stored result."""
