"""Frozen networks whose feature maps losses compare."""
