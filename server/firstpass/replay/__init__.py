"""Recorded exchanges asked again, and what changed. It knows no HTTP client, no store, no settings and no clock."""
