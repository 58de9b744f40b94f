"""Follows the checkpoints, our own and foreign ones."""
