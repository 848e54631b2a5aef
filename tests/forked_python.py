"""In the place of a Python interpreter: becomes a process that has its imports done already.

    python -I -S forked_python.py ADDRESS [SCRIPT] -P -c CODE ...

``forked`` forks a process that does what stands after the address, with the streams, the environment and the folder of this
one. This one waits for its end, and ends as it did: by its exit code or its signal. If this one is killed, so is that one.
"""

# No other module: a tenth of what Python takes to start is all that this may cost.
import _socket
import marshal
import os
import sys

# The exit code of a shell for a signal, where the signal does not end this process.
_SIGNAL = 128


def ask(
    address: str,
    command: list[str],
    environment: dict[str, str],
    cwd: str,
    streams: list[int],
    seconds: float | None = None,
) -> int:
    """Have a process forked, wait for its end, and return its exit code, or its signal as a negative number.

    Args:
        address: The path of the socket of ``forked``.
        command: The arguments after the interpreter.
        environment: All variables of the process.
        cwd: Its folder.
        streams: The descriptors that it gets as stdin, stdout and stderr.
        seconds: It is killed after so many.

    Raises:
        TimeoutError: it was.
    """
    packed = b"".join(descriptor.to_bytes(4, sys.byteorder) for descriptor in streams)
    message = marshal.dumps((command, environment, cwd))
    server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    try:
        server.settimeout(seconds)
        server.connect(address)
        server.sendmsg([message], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, packed)])
        code = server.recv(16)
    finally:
        server.close()
    assert code, "the process that forks has ended"
    return int(code)


def _main(address: str, command: list[str]) -> int:
    code = ask(address, command, dict(os.environ), os.getcwd(), [0, 1, 2])  # noqa: PTH109
    if code < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), -code)
    return code % _SIGNAL if code >= 0 else _SIGNAL - code


if __name__ == "__main__":
    os._exit(_main(sys.argv[1], sys.argv[2:]))
