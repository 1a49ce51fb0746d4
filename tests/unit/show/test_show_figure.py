"""Figures and plots: the picture, and the text that says the same."""

from __future__ import annotations

import base64
import subprocess
import sys
from io import BytesIO
from typing import Any

import matplotlib
import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image

from labkit.errors import BadValueError, MissingToolError
from labkit.show import areas, bars, bars_beside, lines, squares
from labkit.show.plots import number

SERIES = {
    "container": [(1, 0.2), (10, 2.0), (100, 20.5)],
    "process": [(100, 0.1), (1, 0.001)],
}


def plot(**changed: Any) -> Any:
    return lines(**{"series": SERIES, "x": "count", "y": "time, s", "title": "Start", **changed})


def test_lines_as_text_have_the_units_and_a_row_for_each_x() -> None:
    assert repr(plot()) == (
        "Start: time, s\n"
        "count  container  process\n"
        "-----  ---------  -------\n"
        "1      0.2        0.001\n"
        "10     2\n"
        "100    20.5       0.1"
    )
    assert plot().alt == "Line plot, Start: time, s against count, of container, process."


def test_bars_beside_each_other_share_one_text() -> None:
    charts = {"Start": {"container": 0.25, "VM": 12.0}, "Memory": {"container": 3.5, "VM": 512}}
    figure = bars_beside(charts, units=["s", "MiB"])
    assert repr(figure).splitlines() == [
        "           Start, s  Memory, MiB",
        "---------  --------  -----------",
        "container  0.25      3.5",
        "VM         12        512",
    ]
    assert figure.alt == "Bar charts, Start, s; Memory, MiB: container, VM."
    wrong: list[dict[str, dict[str, float]]] = [
        {},
        {"Start": {}},
        {"Start": {"a": 1.0}, "Memory": {"b": 1.0}},
    ]
    for bad in wrong:
        with pytest.raises(BadValueError):
            bars_beside(bad, units=["s", "MiB"][: len(bad)])


def test_areas_as_text_say_what_each_has_by_itself() -> None:
    parts = {"group": [(0, 0), (10, 3.0)], "shim": [(10, 25.0), (0, 0)]}
    figure = areas(parts, x="running", y="MiB", title="Memory")
    assert repr(figure).splitlines() == [
        "Memory: MiB, each by itself",
        "running  group  shim",
        "-------  -----  ----",
        "0        0      0",
        "10       3      25",
    ]
    assert figure.png
    with pytest.raises(BadValueError, match="same places"):
        areas({**parts, "kernel": [(10, 1.0)]}, x="running", y="MiB", title="Memory")
    with pytest.raises(BadValueError, match="nothing to plot"):
        areas({}, x="running", y="MiB", title="Memory")


def test_squares_have_their_areas() -> None:
    figure = squares({"VM": 400.0, "container": 4.0, "nothing": 0.0}, unit="MiB", title="Memory")
    assert repr(figure).splitlines()[2:] == [
        "---------  ---",
        "VM         400",
        "container  4",
        "nothing    0",
    ]
    with Image.open(BytesIO(figure.png)) as picture:
        pixels = picture.convert("RGB")
        sky = [n for n, colour in pixels.getcolors(1 << 24) or () if colour == (86, 180, 233)]
        row = [pixels.getpixel((x, pixels.height // 3)) for x in range(pixels.width)]
    # Of the big one alone this row has some; all of both are a hundredth more than it.
    side = sum(colour == (86, 180, 233) for colour in row)
    assert sky[0] == pytest.approx(side * side * 1.01, rel=0.03)
    for none in ({}, {"VM": 0.0}):
        with pytest.raises(BadValueError, match="nothing to draw"):
            squares(none, unit="MiB", title="Memory")


def test_bars_by_powers_of_ten() -> None:
    figure = bars({"memory": 6000, "addresses": 61}, unit="", title="Fit", log=True)
    assert repr(figure).splitlines()[-1] == "addresses  61"
    assert figure.png
    with pytest.raises(BadValueError, match="begins at one"):
        bars({"memory": 0.5}, unit="", title="Fit", log=True)


def test_bars_as_text() -> None:
    figure = bars({"container": 1536, "virtual machine": 98304.4}, unit="KiB", title="Memory")
    assert repr(figure).splitlines()[1:] == [
        "                 KiB",
        "---------------  ------",
        "container        1,536",
        "virtual machine  98,304",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.00123, "0.00123"),
        (8.456, "8.46"),
        (123.4, "123"),
        (1e6, "1,000,000"),
        (-2, "-2"),
    ],
)
def test_number(value: float, text: str) -> None:
    assert number(value) == text


def test_equal_plots_are_equal_bytes_and_others_are_not() -> None:
    assert plot() == plot()
    assert plot().png != plot(series={**SERIES, "process": [(1, 0.001), (100, 0.2)]}).png
    assert plot().png != plot(y="time, ms").png


def test_the_readers_own_settings_do_not_matter_and_stay() -> None:
    before = plot().png
    with matplotlib.rc_context({"lines.linewidth": 9.0, "savefig.dpi": 30, "font.size": 20}):
        assert plot().png == before
        assert matplotlib.rcParams["font.size"] == 20


def test_the_file_tells_neither_time_nor_software() -> None:
    with Image.open(BytesIO(plot().png)) as image:
        assert set(image.info) <= {"dpi"}


def test_nothing_is_left_in_pyplot() -> None:
    plot()
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()


def test_a_point_of_zero_and_lines_that_end_together() -> None:
    assert plot(series={"a": [(0, 0)]}).png
    close = {name: [(0.0, 0.0), (1.0, 1.0)] for name in "abcdefgh"}
    assert plot(series=close).png
    assert plot(series={"a": [(0, -1), (1, 1)], "none": []}).png


@pytest.mark.parametrize("series", [{}, {"a": []}])
def test_no_point(series: dict[str, list[tuple[float, float]]]) -> None:
    with pytest.raises(BadValueError, match="nothing to plot"):
        plot(series=series)


def test_no_value() -> None:
    with pytest.raises(BadValueError, match="nothing to plot"):
        bars({}, unit="s", title="Start")


def test_nothing_heavy_is_loaded_before_it_is_used() -> None:
    code = "import sys; from labkit import show; show.lines; show.explore; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "labkit.show.plots" in loaded.stdout.split()
    assert not {"matplotlib", "ipywidgets", "IPython"} & set(loaded.stdout.split())


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingToolError, match=r"pip install 'labkit\[course\]'"):
        plot()


def test_the_bundle_has_the_picture_its_text_and_no_html_that_differs_by_release() -> None:
    figure = plot()
    data, metadata = figure._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == figure.png
    assert data["text/plain"] == repr(figure)
    assert "text/html" not in data
    assert metadata["image/png"] == {
        "alt": figure.alt,
        "width": figure.width,
        "height": figure.height,
    }


def test_a_notebook_shows_the_picture_then_its_text() -> None:
    InteractiveShell.instance()  # displays to what captures it
    figure = plot()
    with capture_output() as captured:
        figure._ipython_display_()
    picture, text = captured.outputs
    assert picture.data["text/plain"] == figure.alt
    assert picture.metadata["image/png"]["alt"] == figure.alt
    assert text.data["text/plain"] == repr(figure)
    assert text.data["text/html"].startswith(
        "<details><summary>The figure as text</summary><table>"
    )


def test_as_html_names_the_picture() -> None:
    assert 'alt="Line plot, &lt;b&gt;:' in plot(title="<b>").as_html()
