"""Tables on disk, CSV, JSONL or Parquet: one way to read them, and one to write them."""
