"""What a notebook needs so that everybody can read it."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from labkit.authoring.notebook import new_notebook
from labkit.authoring.validate import validate

v4: Any = nbformat.v4


def findings(*markdown: str) -> tuple[str, ...]:
    cells = [v4.new_markdown_cell(text) for text in markdown] + [v4.new_code_cell("1")]
    return validate(new_notebook(cells, prefix="02-c"))


@pytest.mark.parametrize(
    "text",
    [
        "# A\n\n## B\n\n### C\n\n## D",
        "# A\n\n```sh\n### no heading\n![](no-image.png)\n```\n\n## B",
        "# A\n\nwrite `![](x.png)` or ``<img src='x.png'>``",
        "# A\n\n![a bridge and two containers](bridge.svg)",
        "# A\n\n![a bridge][figure]\n\n[figure]: bridge.svg",
        '# A\n\n<img src="bridge.svg" alt="a bridge">',
        "# A\n\nIt works! [a link](page.html)",
    ],
)
def test_a_readable_notebook_has_no_findings(text: str) -> None:
    assert findings(text) == ()


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (["## B"], "cell 02-c01: the heading 'B' is of level 2, after none"),
        (["# A", "### C"], "cell 02-c02: the heading 'C' is of level 3, after one of level 1"),
        (["# A\n![](a.png)"], "cell 02-c01: the image ![] has no alternative text"),
        (["# A\n![ ][a]"], "cell 02-c01: the image ![ ] has no alternative text"),
        (
            ["# A\n<img src=a.png>"],
            "cell 02-c01: the image <img src=a.png> has no alternative text",
        ),
        (['# A\n<img alt="">'], 'cell 02-c01: the image <img alt=""> has no alternative text'),
    ],
)
def test_what_some_cannot_read_is_an_error(cells: list[str], told: str) -> None:
    assert findings(*cells) == (told,)
