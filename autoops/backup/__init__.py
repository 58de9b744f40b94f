"""Never lose it: snapshots of the databases, the ledger shipped as it grows, the way back, and the proof that it works."""
