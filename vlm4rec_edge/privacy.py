"""Who is spoken to and where files are written: the whole list, which tests hold every command to.

``docs/explanation/privacy.md`` shows it. A command that is not on the list opens no connection, asks no name server, and
writes to the places that it is given and to ``PLACES``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Speaker:
    """A command that may open a connection: when it does, to whom, what it tells, and what for."""

    command: str
    when: str
    to: str
    tells: str
    purpose: str


@dataclass(frozen=True)
class Place:
    """Where files may be written that no argument names, by whom, and what they hold."""

    path: str
    by: str
    holds: str


_HUB = "the Hugging Face hub (`HF_ENDPOINT`, else huggingface.co) and the hosts it sends on to for large files"
_TOKEN = "`HF_TOKEN` or the token you logged in with, if there is one"

COMMANDS = (
    Speaker(
        command="models pull",
        when="the model is not on this machine, and `--offline` is not given",
        to=_HUB,
        tells=f"which files are wanted, `vlm4rec-edge` and its version, {_TOKEN}",
        purpose="fetches a model",
    ),
    Speaker(
        command="index",
        when="`--fetch` or `--fetch-private` is given, for photos that the catalog names by web address, until they are there",
        to="the hosts of these addresses and those they send on to; hosts of this machine and of private networks only with "
        "`--fetch-private`",
        tells="which photo is wanted, `vlm4rec-edge` and its version",
        purpose="fetches the photos into the index folder",
    ),
    Speaker(
        command="shard run",
        when="`--fetch` or `--fetch-private` is given, for photos that the catalog names by address",
        to="the hosts and object stores of these addresses; web hosts of this machine and of private networks only with "
        "`--fetch-private`",
        tells="which photo is wanted, `vlm4rec-edge` and its version; to an object store what its fsspec package tells it, "
        "your credentials for it among that",
        purpose="fetches the photos for the time of their shard",
    ),
    Speaker(
        command="shard run",
        when="`--ray` is given",
        to="the nodes of the Ray cluster at `--address` or `RAY_ADDRESS`; without one, processes of Ray on this machine",
        tells="the path of the folder, the options of the models, numbers of shards",
        purpose="has the shards run there",
    ),
    Speaker(
        command="export",
        when="`--format qdrant` with an address as `--url`",
        to="the Qdrant server at that address",
        tells="ids, titles, captions, attributes and vectors of all items, `QDRANT_API_KEY` if there is one",
        purpose="writes the items into a collection",
    ),
    Speaker(
        command="serve",
        when="it runs, and only where it is asked",
        to="programs and browsers of this machine (127.0.0.1); with `--host`, whoever reaches that address and shows the "
        "token",
        tells="what the index holds, and what is recommended from it",
        purpose="answers; it opens no connection itself",
    ),
)

# What a plug-in of somebody else's package does, its own documentation says; of the example in ``docs/examples``:
PLUGINS = (
    Speaker(
        command="--model openai:ADDRESS",
        when="a photo is captioned",
        to="the server at that address, which must be on this machine",
        tells="the photo and the prompt",
        purpose="describes the photo",
    ),
)

# Files of the repository that a user starts with Python; they are not in the wheel.
SCRIPTS = (
    Speaker(
        command="export/lvlm_to_gguf.py",
        when="the checkpoint is named by its id on the hub",
        to=_HUB,
        tells=f"which files are wanted, versions of huggingface_hub and Python, {_TOKEN}",
        purpose="fetches the checkpoint",
    ),
    Speaker(
        command="export/encoder_to_onnx.py",
        when="the checkpoint is named by its id on the hub",
        to=_HUB,
        tells=f"which files are wanted, versions of huggingface_hub and Python, {_TOKEN}",
        purpose="fetches the checkpoint",
    ),
    Speaker(
        command="benchmarks/fetch.py",
        when="always",
        to="the hub and the photo hosts that Amazon Reviews 2023 names; files.grouplens.org and TMDB (`--server`, `--tmdb`)",
        tells=f"which files are wanted, {_TOKEN}, `TMDB_API_KEY`",
        purpose="fetches a public data set",
    ),
)

PLACES = (
    Place(
        path="`$VLM4REC_EDGE_HOME`, else `vlm4rec-edge` in the platform's cache folder (`$XDG_CACHE_HOME` or `~/.cache`; "
        "`~/Library/Caches`; `%LOCALAPPDATA%`)",
        by="`models pull`; whatever runs llama.cpp",
        holds="pulled models; graphs of vision encoders, and what they were compared with; what was found out about this "
        "processor and this llama.cpp",
    ),
    Place(
        path="the folder for temporary files (`$TMPDIR`, else `/tmp`)",
        by="`bundle --thumbnails`, `shard plan`, SQLite when it sorts a large index, `serve --captioner` while it describes "
        "an uploaded photo",
        holds="what is needed until the command ends, and is removed then",
    ),
    Place(
        path="`/tmp/ray`, or where Ray is told to (`RAY_TMPDIR`)",
        by="`shard run --ray` where it starts a cluster on this machine",
        holds="Ray's sockets and logs, which it keeps",
    ),
    Place(
        path="`__pycache__` beside the installed files",
        by="Python itself, unless `PYTHONDONTWRITEBYTECODE` is set",
        holds="its compiled form of the code",
    ),
)
