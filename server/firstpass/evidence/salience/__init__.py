"""What a diff is about: its most telling names and words."""
