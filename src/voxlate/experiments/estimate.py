"""What an experiment will do: its commands, the memory of each training, and its time on this machine."""
