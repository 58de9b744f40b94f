"""Walking a tree against the registry: what worker and reconciler look at, and from which facts they decide. Writes nothing."""
