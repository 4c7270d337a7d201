"""Evaluation of synthetic images: image quality, measurements on the images, and lesions."""
