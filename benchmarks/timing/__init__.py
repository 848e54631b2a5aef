"""The parts of ``latency.py``: its tables, the engines it measures beside ours, and what they are measured on."""
