"""A diff as text, in every form that people send, read into files, hunks and lines. Knows no language."""
