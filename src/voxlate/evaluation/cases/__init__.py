"""One case: reading, regions, intensity scaling, scores and their stored result."""
