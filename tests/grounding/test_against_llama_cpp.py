"""The engine says what llama-cpp-python's own handler says, which takes one photo at a time."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import combinations
from pathlib import Path

from drawings import catalog_of_drawings, draw
from pictures import QUESTION, answers, encoded, requests_for
from PIL import Image

from vlm4rec_edge import LlamaCaptioner, resolve_lvlm

# In a process of its own: the handler turns file descriptors and the log of the whole process its way. Neither it nor we
# use flash attention here; with it the last bits differ, and some words after a near tie with them.
_HANDLER = """
import base64, json, sys
from pathlib import Path
from llama_cpp import Llama
from llama_cpp.llama_chat_format import MTMDChatHandler
text, projector, question, most, *photos = sys.argv[1:]
handler = MTMDChatHandler(clip_model_path=projector, verbose=False)
model = Llama(model_path=text, chat_handler=handler, n_ctx=1024, n_threads=1, verbose=False)
said = []
for photo in photos:
    url = "data:image/png;base64," + base64.b64encode(Path(photo).read_bytes()).decode()
    content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": question}]
    answer = model.create_chat_completion(
        messages=[{"role": "user", "content": content}], temperature=0.0, repeat_penalty=1.0, max_tokens=int(most)
    )
    said.append(answer["choices"][0]["message"]["content"])
sys.stdout.write(json.dumps(said))
"""


def test_captions_are_those_of_llama_cpp_pythons_own_handler(tmp_path: Path) -> None:
    # Two garments over one another leave the model in doubt, so that the last bits of a number can tip a word. All are small
    # enough to reach it as they are: Pillow and llama.cpp make a larger photo smaller each in its own way.
    drawn = [draw(drawing, (96, 144)) for drawing in catalog_of_drawings(1, seed=4)]
    pairs = enumerate(list(combinations(drawn, 2))[::2])  # 116, each garment in some
    pictures = {str(number): Image.blend(one, other, 0.5) for number, (one, other) in pairs}
    for name, picture in pictures.items():
        (tmp_path / f"{name}.png").write_bytes(encoded(picture))
    files = resolve_lvlm()
    photos = [str(tmp_path / f"{name}.png") for name in pictures]
    done = subprocess.run(
        [
            *(sys.executable, "-c", _HANDLER, str(files.text), str(files.projector), QUESTION),
            *(str(files.settings.max_tokens), *photos),
        ],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    with LlamaCaptioner(files, batch=8, vision="mtmd") as captioner:
        ours, _ = answers(captioner, requests_for(pictures))
    theirs = [said.strip() for said in json.loads(done.stdout)]
    assert len(set(theirs)) > len(theirs) / 2
    assert [ours[name] for name in pictures] == theirs
