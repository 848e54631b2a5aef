"""Catalog: a folder of photos, or a table beside them, read as a stream of items."""
