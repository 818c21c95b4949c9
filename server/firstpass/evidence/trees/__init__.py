"""Syntax trees of pieces of files, and what code there is without one. Knows no diff but its lines."""
