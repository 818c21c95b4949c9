"""The recipe of `firstpass-draft-8m`: from labelled commits to a served model. Imports firstpass, never the reverse."""
