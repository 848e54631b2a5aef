"""Every network connection and every place where files are written: tests hold each command to this list.

``docs/explanation/privacy.md`` shows it. A command that is not on the list opens no connection, asks no name server, and
writes to the places that it is given and to ``PLACES``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Speaker:
    """A command that may open a connection: when it does, to whom, what it sends, and the purpose."""

    command: str
    when: str
    to: str
    sends: str
    purpose: str


@dataclass(frozen=True)
class Place:
    """Where files may be written that no argument names, by whom, and what they hold."""

    path: str
    by: str
    holds: str


_HUB = "the Hugging Face hub (`HF_ENDPOINT`, else huggingface.co) and the hosts that it redirects to for large files"
_TOKEN = "`HF_TOKEN` or the token you logged in with, if there is one"

COMMANDS = (
    Speaker(
        command="models pull",
        when="the model is not on this machine, and `--offline` is not given",
        to=_HUB,
        sends=f"the names of the files, `vlm4rec-edge` and its version, {_TOKEN}",
        purpose="downloads a model",
    ),
    Speaker(
        command="index",
        when="`--fetch` or `--fetch-private` is given, for photos that the catalog names by web address, until they are there",
        to="the hosts of these addresses and those they redirect to; this machine and private networks only with "
        "`--fetch-private`",
        sends="the address of the photo, `vlm4rec-edge` and its version",
        purpose="downloads the photos into the index folder",
    ),
    Speaker(
        command="shard run",
        when="`--fetch` or `--fetch-private` is given, for photos that the catalog names by address",
        to="the hosts and object stores of these addresses; web hosts of this machine and of private networks only with "
        "`--fetch-private`",
        sends="the address of the photo, `vlm4rec-edge` and its version; to an object store what its fsspec package sends, "
        "with your credentials for it",
        purpose="downloads the photos for the time of their shard",
    ),
    Speaker(
        command="shard run",
        when="`--ray` is given",
        to="the nodes of the Ray cluster at `--address` or `RAY_ADDRESS`; without one, processes of Ray on this machine",
        sends="the path of the folder, the options of the models, numbers of shards",
        purpose="runs the shards there",
    ),
    Speaker(
        command="export",
        when="`--format qdrant` with an address as `--url`",
        to="the Qdrant server at that address",
        sends="ids, titles, captions, attributes and vectors of all items, `QDRANT_API_KEY` if there is one",
        purpose="writes the items into a collection",
    ),
    Speaker(
        command="export",
        when="OUT is an address in an object store, such as `lancedb+s3://bucket/shop`",
        to="that object store, and the services that its credentials come from",
        sends="the same, and the credentials that LanceDB finds in the environment",
        purpose="writes a LanceDB table",
    ),
    Speaker(
        command="recommend",
        when="INDEX is such an address; so too `similar`, `search`, `items`, `info`, `evaluate`, `export` and `serve`",
        to="that object store, and the services that its credentials come from",
        sends="the names of the parts of the table to be read, and the credentials",
        purpose="reads the LanceDB table",
    ),
    Speaker(
        command="serve",
        when="it is running, and only in response to requests",
        to="programs and browsers of this machine (127.0.0.1); with `--host`, clients that can reach that address and have "
        "the token",
        sends="the contents of the index, and recommendations from it",
        purpose="answers requests; it opens no connection itself",
    ),
)

# What a plug-in of somebody else's package does, its own documentation says; of the example in ``docs/examples``:
PLUGINS = (
    Speaker(
        command="--model openai:ADDRESS",
        when="a photo is captioned",
        to="the server at that address, which must be on this machine",
        sends="the photo and the prompt",
        purpose="captions the photo",
    ),
)

# Files of the repository that a user starts with Python; they are not in the wheel.
SCRIPTS = (
    Speaker(
        command="export/lvlm_to_gguf.py",
        when="the checkpoint is named by its id on the hub",
        to=_HUB,
        sends=f"the names of the files, versions of huggingface_hub and Python, {_TOKEN}",
        purpose="downloads the checkpoint",
    ),
    Speaker(
        command="export/encoder_to_onnx.py",
        when="the checkpoint is named by its id on the hub",
        to=_HUB,
        sends=f"the names of the files, versions of huggingface_hub and Python, {_TOKEN}",
        purpose="downloads the checkpoint",
    ),
    Speaker(
        command="benchmarks/fetch.py",
        when="always",
        to="the hub and the photo hosts that Amazon Reviews 2023 names; files.grouplens.org and TMDB (`--server`, `--tmdb`)",
        sends=f"the names of the files, {_TOKEN}, `TMDB_API_KEY`",
        purpose="downloads a public data set",
    ),
)

PLACES = (
    Place(
        path="`$VLM4REC_EDGE_HOME`, else `vlm4rec-edge` in the platform's cache folder (`$XDG_CACHE_HOME` or `~/.cache`; "
        "`~/Library/Caches`; `%LOCALAPPDATA%`)",
        by="`models pull`; commands that run llama.cpp",
        holds="pulled models; ONNX graphs of vision encoders with their check results; whether this llama.cpp computes "
        "correctly on this processor",
    ),
    Place(
        path="the folder for temporary files (`$TMPDIR`, else `/tmp`)",
        by="`bundle --thumbnails`, `shard plan`, SQLite when it sorts a large index, LanceDB when it makes a vector index, "
        "`serve --captioner` while it captions an uploaded photo",
        holds="temporary files, removed when the command ends",
    ),
    Place(
        path="`ray` in the folder for temporary files, or `RAY_TMPDIR`",
        by="`shard run --ray` where it starts a cluster on this machine",
        holds="Ray's sockets and logs, which it keeps",
    ),
    Place(
        path="`__pycache__` beside the installed files",
        by="Python itself, unless `PYTHONDONTWRITEBYTECODE` is set",
        holds="compiled code",
    ),
)
