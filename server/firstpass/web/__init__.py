"""The HTTP front: wire formats, routes, keys and limits. It knows its backend by a Protocol, no tier or store."""
