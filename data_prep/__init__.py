"""From raw medical data to a prepared task: images, a manifest and `task.json`."""

__version__ = "0.1.0"
