"""Measures autoops beside the programs people use for the same jobs: `run.py` starts it, README.md explains the figures."""
