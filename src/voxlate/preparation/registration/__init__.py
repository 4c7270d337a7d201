"""Rigid, affine and deformable registration, transforms and templates."""
