"""The Debian packages that an image lacks, downloaded here: an engine may have no way out.

They are installed in the build itself, by dpkg with all their scripts: see `images/install`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import labels
from labkit.debian import ARCHITECTURES, Apt
from labkit.errors import ImageBuildError
from labkit.owner import this_process
from labkit.sdk import translated, unpack_one

if TYPE_CHECKING:
    from labkit.engine import Engine

STATUS = "/var/lib/dpkg/status"


class Packages:
    """Downloads for one engine, in a folder of this process's own that goes at the end of a `with`.

    Nothing is fetched before something is asked for.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> Packages:
        self._folder = tempfile.TemporaryDirectory(prefix="labkit-packages-")
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    @cached_property
    def _apt(self) -> Apt:
        arch = self._engine.facts.architecture
        return Apt.create(Path(self._folder.name), arch=ARCHITECTURES.get(arch, arch))

    def lacking(
        self, root: str, names: Sequence[str], *, on_message: Callable[[str], object]
    ) -> list[Path]:
        """The packages that `names` need and the image `root` has not, each as a file.

        Raises ImageBuildError, DiskFullError, MissingToolError, EngineError.
        """
        versions = self._apt.resolve(names, on=self._status(root))
        on_message(f"downloading {len(versions)} packages")
        return self._apt.download(versions, lambda _: None)

    def _status(self, root: str) -> str:
        """What dpkg says is installed in an image."""
        api: Any = self._engine.client.api  # its stubs lack types here
        with translated(f"read {STATUS} of {root}", kind="image", name=root):
            made = api.create_container(root, "true", labels={labels.OWNER: this_process()})
            try:
                status = unpack_one(api.get_archive(made["Id"], STATUS)[0])
            finally:
                api.remove_container(made["Id"])
        if status is None:
            raise ImageBuildError(
                f"{root} is not a Debian.", seen=f"no file {STATUS}", do="build on labkit/toolbox"
            )
        return status.decode()
