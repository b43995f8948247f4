"""`python -m pathsearch.cli`."""

from pathsearch.cli.main import main

main()
