"""Synthetic studies, the same bytes on every machine: what the servers are fed with."""
