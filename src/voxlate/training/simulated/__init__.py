"""Windows computed from the tissue maps of simulated heads while the training runs."""
