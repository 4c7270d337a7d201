"""The version of voxlate, in a module of its own so that no package imports the public interface."""

__version__ = "0.1.0"
