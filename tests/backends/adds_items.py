"""A process that adds items to a table, a batch in each commit, and says which are in; started by ``test_tables``."""

from __future__ import annotations

import sys

from made_items import batch_of

from vlm4rec_edge.lance.writer import upsert_items


def main(address: str, space: str, name: str, batches: int) -> None:
    """Add items ``NAME-BATCH-0``, ``NAME-BATCH-1`` and so on."""
    for number in range(batches):
        items, vectors = batch_of([f"{name}-{number}-{place}" for place in range(5)])
        upsert_items(address, items, vectors, space=space)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
