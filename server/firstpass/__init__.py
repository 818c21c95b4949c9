"""Firstpass: a local model writes the first pass, code checks it, a stronger model verifies what fails."""
