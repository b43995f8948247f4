"""Evolutionary architecture search on one frozen encoder, one small path of modules for each task."""

__version__ = "0.1.0"
