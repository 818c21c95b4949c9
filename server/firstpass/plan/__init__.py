"""What this machine can run, how, and how fast: a model's numbers against those of the hardware. Starts nothing."""
