"""autoops: a registry of every file in the trees it watches, and the proof that it is right."""

__version__ = "0.1.0"
