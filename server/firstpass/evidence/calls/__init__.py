"""Which calls a diff newly makes, and which of its files could not be read for that."""
