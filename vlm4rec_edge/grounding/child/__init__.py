"""Captioning in a process of its own, which may die of a native fault without taking anything with it."""
