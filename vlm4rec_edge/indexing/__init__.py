"""What is done to an index folder, a job a file; a ``run`` is what ``update`` and ``add`` have in common."""
