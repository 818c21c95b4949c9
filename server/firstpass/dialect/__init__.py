"""A dialect is a codec: it reads and writes requests, replies and streams, and knows no connection, route or policy."""
