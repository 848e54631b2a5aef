"""Encoding: title and caption of an item become one dense unit vector."""
