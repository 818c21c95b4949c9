"""The page at / in a real Chromium, before a whole Firstpass whose models are scripted."""
