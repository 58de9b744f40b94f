"""The operator's programs: typer commands by noun. `main` is the only place where an error becomes an exit code."""
