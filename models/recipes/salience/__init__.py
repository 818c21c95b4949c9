"""Recipe: what `firstpass.evidence.salience` knows of words: how common each is, and what its places are worth."""
