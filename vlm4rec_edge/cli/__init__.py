"""The command line: a thin face of the Python API.

Exit codes: 0 all done; 1 it could not be done, a sentence on stderr says why; 2 the command was written wrongly;
3 it was done, but some items were left out, listed at the end; 130 stopped with Ctrl-C, finished work kept.
"""

from vlm4rec_edge.cli.app import main, make_app

__all__ = ["main", "make_app"]
