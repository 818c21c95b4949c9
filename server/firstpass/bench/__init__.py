"""Measuring what answers are worth, and how long they take: `firstpass eval`. Talks to a server over HTTP alone."""
