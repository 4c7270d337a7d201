"""Reads DICOM series strictly (a whole volume with a known position, or a refusal); writes derived series."""

from voxlate.io.dicom.files import dicom_files
from voxlate.io.dicom.scan import DicomScan, read_series
from voxlate.io.dicom.series import DicomSeries, find_series

__all__ = ["DicomScan", "DicomSeries", "dicom_files", "find_series", "read_series"]
