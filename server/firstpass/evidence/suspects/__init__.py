"""What a reviewer should look at: what went away, what was left behind, what opens a door."""
