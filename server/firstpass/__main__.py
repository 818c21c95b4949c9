"""`python -m firstpass` is the same as the `firstpass` command."""

from firstpass.cli.main import main

main()
