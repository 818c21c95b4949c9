"""The recipe of the bundled models: from labelled commits to a served model. Imports firstpass, never the reverse."""
