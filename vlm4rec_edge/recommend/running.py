"""A profile that grows event by event, for a device that must not keep the history itself.

It holds two sums of vectors and their weights, nothing else, so an event costs O(dimensions) and what is stored does not
grow. What can be read back from it is written in docs/reference/profiles.md.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vlm4rec_edge.errors import ProfileError, UsageError
from vlm4rec_edge.given import number_of
from vlm4rec_edge.recommend.profile import DISLIKE_WEIGHT, combine

_FORMAT = 1
_MAGIC = b"v4rp"
_DTYPE = np.dtype("<f8")


def _number_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


# The fields beside the encoder and the two sums, and how each is read.
_SCALARS: Mapping[str, Callable[[Any], Any]] = {
    "liked_weight": float,
    "disliked_weight": float,
    "events": int,
    "half_life": _number_or_none,
    "time": _number_or_none,
}


@dataclass(frozen=True, eq=False)
class Profile:
    """A shopper's profile; immutable, every change returns a new one.

    With t the newest time, h the half-life and d = 2^(-(t - t_i) / h) (1 without a half-life):

        liked = sum of d_i * w_i * v_i        liked_weight = sum of d_i * w_i
        disliked = sum of w_j * v_j           disliked_weight = sum of w_j

    so the profile is (liked / liked_weight - g * disliked / disliked_weight), scaled to unit length: the same as that of
    ``Recommender.recommend`` for the same events. What is disliked does not fade.

    Attributes:
        encoder: Fingerprint of the encoder whose vectors are summed.
        liked: Shape [dimensions], float64.
        disliked: Shape [dimensions], float64.
        liked_weight: Sum of the weights in ``liked``.
        disliked_weight: Sum of the weights in ``disliked``.
        events: How many events were added.
        half_life: In the unit of the times; None: nothing fades.
        time: Of the newest event, or None where no event had one.
    """

    encoder: str
    liked: np.ndarray
    disliked: np.ndarray
    liked_weight: float = 0.0
    disliked_weight: float = 0.0
    events: int = 0
    half_life: float | None = None
    time: float | None = None

    @classmethod
    def empty(cls, encoder: str, dimensions: int, *, half_life: float | None = None) -> Profile:
        """Return a profile without events.

        Raises:
            UsageError: the half-life is not above 0.
        """
        half_life = None if half_life is None else number_of(half_life, "The half-life")
        if half_life is not None and not 0 < half_life < np.inf:
            raise UsageError(f"The half-life is {half_life:g}; it must be above 0.")
        return cls(encoder, np.zeros(dimensions), np.zeros(dimensions), half_life=half_life)

    def add(
        self, vector: np.ndarray, *, weight: float = 1.0, time: float | None = None, disliked: bool = False
    ) -> Profile:
        """Return this profile with one more event; events may come in any order of time.

        Args:
            vector: Of the item, shape [dimensions], from ``Recommender.vectors``.
            weight: A rating, a count, a dwell time; from 0 on.
            time: When; needed if there is a half-life. Disliked events need none.
            disliked: Whether the item pushes away.

        Raises:
            UsageError: the vector is of another width, the weight or the time is no such number, or the time is missing.
        """
        if np.shape(vector) != self.liked.shape:
            raise UsageError(f"The vector has the shape {np.shape(vector)}; this profile has {self.liked.shape}.")
        weight = number_of(weight, "The weight")
        if not 0 <= weight < np.inf:
            raise UsageError(f"The weight is {weight:g}; it must be a number from 0 on.")
        own = np.asarray(vector, dtype=np.float64) * weight
        if disliked:
            return replace(
                self,
                disliked=self.disliked + own,
                disliked_weight=self.disliked_weight + weight,
                events=self.events + 1,
            )
        if self.half_life is None:
            time = None
        elif time is None or not np.isfinite(time := number_of(time, "The time of an event")):
            raise UsageError("This profile has a half-life, so every event needs the time it happened.")
        event = replace(
            self,
            liked=own,
            disliked=np.zeros_like(own),
            liked_weight=float(weight),
            disliked_weight=0.0,
            events=1,
            time=time,
        )
        return self.merge(event)

    def merge(self, other: Profile) -> Profile:
        """Return the profile of the events of both, of two devices for example; in any order the same.

        Raises:
            ProfileError: the two are of different encoders, widths or half-lives.
        """
        if (self.encoder, self.half_life, self.liked.shape) != (other.encoder, other.half_life, other.liked.shape):
            raise ProfileError("The two profiles are of different encoders or half-lives and cannot be merged.")
        times = [profile.time for profile in (self, other) if profile.time is not None]
        newest = max(times) if times else None
        first, second = self._faded_to(newest), other._faded_to(newest)
        return replace(
            first,
            liked=first.liked + second.liked,
            disliked=first.disliked + second.disliked,
            liked_weight=first.liked_weight + second.liked_weight,
            disliked_weight=first.disliked_weight + second.disliked_weight,
            events=first.events + second.events,
        )

    def decayed(self, time: float) -> Profile:
        """Return this profile as seen from ``time``, if that is later: what is liked weighs less against later events.

        By itself that changes no recommendation, because a common factor goes away with the length.
        """
        return self if self.time is None or time <= self.time else self._faded_to(time)

    def _faded_to(self, time: float | None) -> Profile:
        if self.half_life is None or time is None or self.time is None:
            return replace(self, time=time)
        factor = float(np.exp2(-(time - self.time) / self.half_life))
        return replace(self, liked=self.liked * factor, liked_weight=self.liked_weight * factor, time=time)

    def vector(self, *, dislike_weight: float = DISLIKE_WEIGHT) -> np.ndarray:
        """Return the profile's vector, shape [dimensions], float32, unit length.

        Raises:
            UsageError: nothing was added yet, or what was added cancels out.
        """
        sums = [(self.liked, self.liked_weight, 1.0), (self.disliked, self.disliked_weight, -dislike_weight)]
        present = [(total / weight, factor) for total, weight, factor in sums if weight > 0]
        try:
            return combine(np.array([mean for mean, _ in present]), np.array([factor for _, factor in present])).vector
        except ValueError as error:
            raise UsageError(str(error)) from None

    def to_bytes(self) -> bytes:
        """Return the profile as bytes: a mark, the length of a JSON head, the head, both sums, and a CRC-32."""
        fields, sums = self._written()
        head = json.dumps(fields).encode()
        body = len(head).to_bytes(4, "little") + head + sums
        return _MAGIC + body + zlib.crc32(body).to_bytes(4, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> Profile:
        """Return the profile that ``to_bytes`` wrote.

        Raises:
            ProfileError: the bytes are damaged, of something else, or of a newer version.
        """
        body = data[4:-4]
        if data[:4] != _MAGIC or zlib.crc32(body).to_bytes(4, "little") != data[-4:]:
            raise ProfileError("These bytes are not a profile, or they are damaged.")
        length = int.from_bytes(body[:4], "little")
        return cls._read(body[4 : 4 + length], body[4 + length :])

    def to_json(self) -> str:
        """Return the profile as one JSON object; ``sums`` holds both sums, float64 little-endian, in base64."""
        fields, sums = self._written()
        return json.dumps({**fields, "sums": base64.b64encode(sums).decode()})

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """Return the profile that ``to_json`` wrote.

        Raises:
            ProfileError: the text is damaged, of something else, or of a newer version.
        """
        return cls._read(text, None)

    def _written(self) -> tuple[dict[str, Any], bytes]:
        """Return the fields as JSON holds them, and both sums, float64 little-endian, one after the other."""
        fields = {name: getattr(self, name) for name in _SCALARS}
        form = {"profile_format": _FORMAT, "encoder": self.encoder, "dimensions": len(self.liked)}
        return {**form, **fields}, np.stack([self.liked, self.disliked]).astype(_DTYPE).tobytes()

    @classmethod
    def _read(cls, head: bytes | str, sums: bytes | None) -> Profile:
        """Return the profile of the fields in ``head``, and of ``sums``, if they do not stand there too."""
        try:
            fields = json.loads(head)
            if fields["profile_format"] != _FORMAT:
                raise ProfileError(f"The profile has format {fields['profile_format']}, this version reads {_FORMAT}.")
            sums = base64.b64decode(fields["sums"], validate=True) if sums is None else sums
            liked, disliked = np.frombuffer(sums, _DTYPE).astype(np.float64).reshape(2, int(fields["dimensions"]))
            scalars = {name: read(fields[name]) for name, read in _SCALARS.items()}
            profile = cls(str(fields["encoder"]), liked, disliked, **scalars)
        except (ValueError, KeyError, TypeError) as error:
            raise ProfileError(f"This is not a profile, or it is damaged ({error}).") from error
        if not (np.isfinite(liked).all() and np.isfinite(disliked).all()):
            raise ProfileError("The profile is damaged: its sums are not all numbers.")
        return profile
