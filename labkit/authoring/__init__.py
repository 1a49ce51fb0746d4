"""The course's text made into notebooks: build them, find drift, run them.

Nothing below this floor imports it, so that `import labkit` needs none of Jupyter's tools.
"""

from importlib.util import find_spec

from labkit.errors import MissingToolError

_missing = [
    tool for tool in ("jupytext", "nbformat", "nbclient", "papermill") if find_spec(tool) is None
]
if _missing:
    raise MissingToolError(
        "The tools that make notebooks are not installed.",
        seen="no module " + ", ".join(_missing),
        do="pip install 'labkit[authoring]'",
    )
