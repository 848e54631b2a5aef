"""The parts of ``faults.py``: the process that is killed, and one trial of each kind of fault."""
