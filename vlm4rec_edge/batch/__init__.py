"""Batch: recommendations for all users of a shop, from one table to another."""
