"""The errors a user can act on.

Every message is a sentence that says what was wrong, where (file, row, item id), and what to do about it. The
command line prints it without a traceback and ends with ``exit_code``; a Python caller catches
``Vlm4RecError`` or one of its kinds. What does not stop the work is a ``Vlm4RecWarning``.
"""

from __future__ import annotations


class Vlm4RecError(Exception):
    """What this package raises on purpose. Anything else that escapes is a bug of ours."""

    exit_code = 1


class Vlm4RecWarning(UserWarning):
    """Something a user should know although the work goes on, as a sentence.

    Given through Python's ``warnings``, so a program can filter, catch or log it; the command line prints it once.
    """


class UsageError(Vlm4RecError):
    """A setting or an argument that cannot be meant as given."""

    exit_code = 2


class CatalogError(Vlm4RecError):
    """The catalog as a whole cannot be read (a single bad row or photo is a ``Failure``, not an error)."""


class PhotoError(Vlm4RecError):
    """One photo cannot be used. Inside a catalog run it becomes a ``Failure`` of that item."""


class ModelError(Vlm4RecError):
    """A model file is missing, damaged, of the wrong kind, or does not fit what it is used with."""


class VisionEncoderError(ModelError):
    """The vision encoder outside of llama.cpp failed at work; llama.cpp's own can take its place.

    Attributes:
        reason: What happened, as the end of a sentence; the message says as well how to use llama.cpp's own.
        remedy: How to use it, as a sentence.
    """

    remedy = "llama.cpp's own vision encoder is used with --vision mtmd --vision-precision fp32."

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason.rstrip(".")

    def __str__(self) -> str:
        return f"{self.reason}. {self.remedy}"


class DeviceError(Vlm4RecError):
    """A device was asked for that this machine or this installation does not have."""


class MissingDependencyError(Vlm4RecError):
    """An optional package is needed; the message holds the command that installs it."""


class StoreError(Vlm4RecError):
    """An index folder is missing, damaged, in use, or was made by something that does not fit."""


class BundleError(StoreError):
    """A bundle is damaged, was tampered with, or was made by a newer version; nothing of it is used."""


class UnknownItemError(Vlm4RecError):
    """An item id that the index does not hold."""


class ProfileError(Vlm4RecError):
    """A saved profile is damaged, or does not fit the index or the profile it is used with."""
