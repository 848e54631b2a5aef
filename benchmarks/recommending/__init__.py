"""The parts of ``accuracy.py``: a shop and its users, ways to represent an item, what each is worth, and the report."""

import captioning  # noqa: F401 (it puts the reading of catalogs, models/training/rows.py, on the path)
