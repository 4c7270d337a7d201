"""Reads and writes files: NIfTI, DICOM, BIDS, JSON and YAML. No other package handles file formats."""
