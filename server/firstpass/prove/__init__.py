"""A proof that nothing leaves: front and engine at work where nothing can, with every try to leave counted.

`python -m firstpass.prove` is the process inside: it shuts itself in (enclosure.py), makes sure that a leak would be
seen (plants.py, counters.py), does the work (suite.py), and says what it saw as a line of JSON a phase. What it can't
see: a packet that root makes by hand (a raw IPv4 socket), which can't leave either.
"""
