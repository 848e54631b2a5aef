"""The models of a checkpoint in every type that ``savings.py`` compares, each file made once and kept."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recommending.setups import FULL_TYPE, Setup
from vlm4rec_edge.checksums import sha256_of
from vlm4rec_edge.errors import ModelError, UsageError
from vlm4rec_edge.models.manifest import MANIFEST_NAME, read_manifest
from vlm4rec_edge.models.resolve import EncoderFiles, LvlmFiles, resolve_encoder, resolve_lvlm

EXPORT = Path(__file__).parents[2] / "export"
sys.path.append(str(EXPORT))

# Sentences that an export is checked with: the benchmark itself judges what an encoder is worth.
_SENTENCES = 50


@dataclass(frozen=True)
class Quantized:
    """The models of a run.

    Attributes:
        shipped: The vision-language model that the package comes with: its name and settings are those of every type, so
            that each is asked alike, and a caption of the same files is the same caption.
        encoder: The encoder it comes with.
        checkpoint: Of the vision-language model: a folder in Hugging Face layout, or an export of it in F16.
        encoder_checkpoint: Of the encoder, as ``encoder_to_onnx.py`` takes it.
        folder: Where made files lie; those that are there are taken.
        say: Told what is made.
    """

    shipped: LvlmFiles
    encoder: EncoderFiles
    checkpoint: Path
    encoder_checkpoint: str
    folder: Path
    say: Callable[[str], None]

    @property
    def setup(self) -> Setup:
        """What is shipped.

        Raises:
            ModelError: a manifest does not say of what types its files are.
        """
        models = (self.shipped.manifest, self.encoder.manifest)
        if not all(models):
            raise ModelError("The models to be compared with need a manifest that names their types.")
        lvlm, encoder = (manifest.quantization for manifest in models if manifest)
        return Setup(lvlm["text"], lvlm["projector"], encoder["model"])

    def lvlm(self, text: str, projector: str) -> LvlmFiles:
        """Return the vision-language model in these types of llama.cpp, named and asked as the shipped one."""
        files = resolve_lvlm(self._part("text", text), projector=self._part("projector", projector))
        return replace(files, name=self.shipped.name, settings=self.shipped.settings)

    def encoder_in(self, precision: str) -> EncoderFiles:
        """Return the encoder in a precision of ``encoder_to_onnx.py``; ``int8-7bit`` is int8 with ``--reduce-range``."""
        if precision == self.setup.encoder:
            return self.encoder
        place = self.place_of_encoder(precision)
        if not (place / MANIFEST_NAME).is_file():
            kind, _, bits = precision.rpartition("-") if precision.endswith("-7bit") else (precision, "", "")
            self.say(f"making the encoder in {precision}")
            check = ["--sentences", str(_SENTENCES), "--min-mean", "0", "--min-worst", "0", "--min-neighbours", "0"]
            name = ["--name", f"{self.encoder.name}-{precision}", *(["--reduce-range"] if bits else [])]
            self._export(
                "encoder_to_onnx.py",
                [self.encoder_checkpoint, "--out", str(place), "--precision", kind, "--overwrite", *check, *name],
            )
        return resolve_encoder(place)

    def place_of_encoder(self, precision: str) -> Path:
        """Return the folder of an export of this checkpoint by these scripts; any other has another name."""
        digest = hashlib.sha256(self.encoder_checkpoint.encode())
        weights = sorted(Path(self.encoder_checkpoint).glob("*.safetensors"))
        for path in [*weights, *sorted(EXPORT.glob("encoder_*.py"))]:
            digest.update(sha256_of(path).encode())
        return self.folder / f"encoder-{precision}-{digest.hexdigest()[:12]}"

    def is_shipped(self) -> bool:
        """Whether the checkpoint, in the types of the shipped model, gives the shipped files."""
        own = self.lvlm(self.setup.text, self.setup.projector)
        pairs = ((own.text, self.shipped.text), (own.projector, self.shipped.projector))
        return all(sha256_of(one) == sha256_of(other) for one, other in pairs)

    def _part(self, role: str, file_type: str) -> Path:
        full = self._full()
        source = full.text if role == "text" else full.projector
        if file_type == FULL_TYPE:
            return source
        target = self.folder / f"lvlm-{sha256_of(source)[:16]}" / f"{role}-{file_type}.gguf"
        if not target.is_file():
            from gguf_write import quantize

            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_suffix(".part")
            other = quantize(source, part, file_type)
            part.replace(target)
            note = f"; {other} tensors took another type, their rows do not fit its blocks" if other else ""
            self.say(f"made {role} in {file_type}, {target.stat().st_size / 1e6:.1f} MB{note}")
        return target

    def _full(self) -> LvlmFiles:
        if (self.checkpoint / MANIFEST_NAME).is_file():
            types = read_manifest(self.checkpoint).quantization
            if set(types.values()) != {FULL_TYPE}:
                raise UsageError(
                    f"{self.checkpoint} is an export in {', '.join(types.values())}; give one in {FULL_TYPE}."
                )
            return resolve_lvlm(self.checkpoint)
        place = self.folder / f"lvlm-{FULL_TYPE}-{self.checkpoint.resolve().name}-{_stamp(self.checkpoint)}"
        if not (place / MANIFEST_NAME).is_file():
            self.say(f"converting the checkpoint to {FULL_TYPE}")
            types_of_both = ["--text-type", FULL_TYPE, "--projector-type", FULL_TYPE]
            settings = ["--max-side", str(self.shipped.settings.max_side), "--prompt", self.shipped.settings.prompt]
            name = ["--name", self.shipped.name]
            self._export(
                "lvlm_to_gguf.py",
                [str(self.checkpoint), "--out", str(place), *types_of_both, *settings, *name, "--overwrite"],
            )
        return resolve_lvlm(place)

    def _export(self, script: str, arguments: Sequence[str]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(EXPORT / script), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["it ended without a word"]
            raise ModelError(f"{script} failed: {said[-1].removeprefix('Error: ')}")


def _stamp(checkpoint: Path) -> str:
    """Return what tells the weights of a checkpoint from those of a later training."""
    weights = sorted(checkpoint.glob("*.safetensors"))
    if not weights:
        raise UsageError(f"{checkpoint} is neither a checkpoint (*.safetensors) nor an export with {MANIFEST_NAME}.")
    return sha256_of(weights[0])[:16]
