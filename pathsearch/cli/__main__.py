"""`python -m pathsearch.cli`."""

from pathsearch.cli.main import main

if __name__ == "__main__":
    main()
