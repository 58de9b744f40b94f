"""The only disk primitives: opening below a root, observing, listing, renaming, durable writing."""
