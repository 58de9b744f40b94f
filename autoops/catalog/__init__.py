"""Catalogs: what is made of the registry for others to read, and kept up to date."""
