"""A scripted model server, with faults drawn from a seed: servers are tried against it without a model."""
