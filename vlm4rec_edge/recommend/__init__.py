"""Recommend: a shopper's history becomes a profile, and the profile finds items in the index."""
