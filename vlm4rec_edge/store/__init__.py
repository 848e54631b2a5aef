"""Store: one folder that holds the truth about a catalog: items, captions, vectors, and where each came from."""
