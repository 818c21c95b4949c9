"""Who holds a key, and how much of what its scopes allow is left. It knows no HTTP, no dialect and no model."""
