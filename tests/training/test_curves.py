"""The picture of a training shows what its journals hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from curves import draw_curves, panels_of

SEEING = "step,name,value\n1,loss,2\n1,teacher,0.5\n2,teacher,0.3\n2,right_type,0.7\n"
SPEAKING = "step,name,value\n1,loss,2\n2,json_loss,3\n2,away,0.1\n2,held_out_loss,1.5\n"


@pytest.mark.parametrize(
    ("journals", "titles"),
    [
        ({"looking": SEEING}, ["Seeing: held-out photos named right", "Seeing: losses by teacher"]),
        ({"speaking": SPEAKING}, ["Speaking: loss a token"]),
        (
            {"looking": SEEING, "speaking": SPEAKING},
            ["Seeing: held-out photos named right", "Seeing: losses by teacher", "Speaking: loss a token"],
        ),
        ({}, []),
    ],
)
def test_only_panels_with_data_are_drawn(journals: dict[str, str], titles: list[str], tmp_path: Path) -> None:
    for name, text in journals.items():
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    panels = panels_of(tmp_path)
    assert [panel.title for panel in panels] == titles
    pytest.importorskip("matplotlib")
    from PIL import Image

    with Image.open(draw_curves(tmp_path)) as picture:
        assert picture.width == pytest.approx(110 * (1 + 4 * len(titles)), abs=1)


def test_every_figure_of_speaking_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "speaking.csv").write_text(SPEAKING, encoding="utf-8")
    (panel,) = panels_of(tmp_path)
    assert {label: points for label, points, _ in panel.lines} == {
        "sentences": [(1, 2.0)],
        "JSON": [(2, 3.0)],
        "the tower, from what it saw": [(2, 0.1)],
        "held-out sentences": [(2, 1.5)],
    }
