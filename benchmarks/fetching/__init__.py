"""The parts of ``fetch.py``: downloads that go on where they stopped, and public sets as folders of a shop."""
