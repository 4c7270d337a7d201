"""The whole way on simulated patients: `python -m voxlate.demo FOLDER`, or `make demo`."""
