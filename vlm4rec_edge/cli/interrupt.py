"""Ctrl-C that is never lost."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from types import FrameType

# Long enough that a native call has returned meanwhile, short enough that nobody notices.
_AGAIN_SECONDS = 0.02


def hear_ctrl_c() -> None:
    """Raise ``KeyboardInterrupt`` on Ctrl-C, as Python does, but not inside a callback from native code.

    There Python could only print the error and forget it, and the run would go on: llama.cpp calls its log callback right
    after the long calls that a Ctrl-C falls into. Where Ctrl-C is ignored (a job in the background) it stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    if _is_in_callback(frame):
        threading.Timer(_AGAIN_SECONDS, _send_again, [signum]).start()
    else:
        raise KeyboardInterrupt


def _send_again(signum: int) -> None:
    if sys.platform == "win32":
        _thread.interrupt_main(signum)
    else:  # a true signal also ends a wait of the main thread
        signal.pthread_kill(threading.main_thread().ident or 0, signum)


def _is_in_callback(frame: FrameType | None) -> bool:
    native = sys.modules.get("vlm4rec_edge.grounding.native")
    while native is not None and frame is not None:
        if frame.f_code.co_filename == native.__file__ and frame.f_code.co_name == "remember":
            return True
        frame = frame.f_back
    return False
