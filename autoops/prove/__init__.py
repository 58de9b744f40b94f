"""What proves the registry: database, digest, ledger chain and signatures, replay."""
