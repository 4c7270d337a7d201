"""Reading and writing: the only place where the world's file formats meet ours."""
