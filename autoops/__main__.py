"""`python -m autoops` is the same program as `autoops`."""

from autoops.cli.main import main

if __name__ == "__main__":
    main()
