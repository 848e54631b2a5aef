"""Interchange: what an index or a bundle holds, in the formats that other engines load."""
