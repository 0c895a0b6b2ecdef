"""`python -m neuraxis.cli` is the `neuraxis` command."""

from neuraxis.cli import main

main()
