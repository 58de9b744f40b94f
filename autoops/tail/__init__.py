"""Follows the checkpoints, our own and those of others, and says when they disagree."""
