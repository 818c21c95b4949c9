"""Who holds a key, how much of what its scopes allow is left, and whose turn it is. It knows no HTTP and no dialect."""
