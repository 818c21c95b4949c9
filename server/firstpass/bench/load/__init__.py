"""How fast a server answers under a load, and how sure that is: `firstpass bench`. Talks to servers over HTTP alone."""
