"""The command line: a thin face of the Python API.

Exit codes: 0 all done; 1 it could not be done, a sentence on stderr says why; 2 the command was written wrongly;
3 it was done, but some items were left out, listed at the end; 130 stopped with Ctrl-C, finished work kept.
"""

from __future__ import annotations

import signal
import sys

EXIT_INTERRUPTED = 130


def main() -> None:
    """Run the program and exit with its code. Ctrl-C ends it without a traceback, also while it is being imported."""
    try:  # no import stands above: Ctrl-C may come in the middle of any
        from vlm4rec_edge.cli.app import run

        run()
    except KeyboardInterrupt:
        _ignore_ctrl_c()
        sys.stderr.write("Stopped.\n")
        sys.exit(EXIT_INTERRUPTED)
    except SystemExit as end:
        if end.code == EXIT_INTERRUPTED:
            _ignore_ctrl_c()
        raise


def _ignore_ctrl_c() -> None:
    """Let Python end in peace: it is stopped already, and pressed once more, Ctrl-C would only print a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
