"""Encoding: the words about an item become one dense unit vector."""
