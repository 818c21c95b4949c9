"""A stand-in for the two services' APIs, and what their makers publish of the form of what they say."""
