"""Comments, strings and the TODOs in them, in any language. Knows no tree."""
