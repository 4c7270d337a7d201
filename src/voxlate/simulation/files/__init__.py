"""Simulated subjects as BIDS and DICOM."""
