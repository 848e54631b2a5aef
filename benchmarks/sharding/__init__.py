"""The parts of ``cluster.py``: stand-ins that processes find by name, made catalogs, and runs of the program."""
