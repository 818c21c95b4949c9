"""`python -m firstpass` is the same as the `firstpass` command."""

from firstpass.cli import main

main()
