"""voxlate: medical image-to-image translation that proves what its result is worth."""

__version__ = "0.1.0"
