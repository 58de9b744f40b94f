"""The reconciler: every disagreement between disk, registry and what was made of it, why, since when, and how it is repaired."""
