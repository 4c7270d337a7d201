"""What a synthetic image is worth: as an image, for what is measured on it, and for the lesions in it."""
