"""The output folder of a run of many cases: it belongs to one run, made with one set of settings.

A run claims a new or empty folder by writing its settings into it. A later run with the same settings takes the folder
up again; a run with other settings, or in a folder that holds something else, is refused before anything is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxlate.errors import UsageError
from voxlate.io.atomic import is_partial, write_json
from voxlate.io.documents import read_object


@dataclass(frozen=True)
class RunFolder:
    """A folder with the settings of its run.

    Attributes:
        root: the folder.
        settings_file: path of the settings below `root`; it shows that the folder is claimed.
        differ_code: code of the error for other settings.
    """

    root: Path
    settings_file: Path | str
    differ_code: str = "SETTINGS_DIFFER"

    @property
    def is_claimed(self) -> bool:
        """Returns whether a run has written its settings."""
        return (self.root / self.settings_file).is_file()

    def claim(self, settings: Mapping[str, Any]) -> None:
        """Makes the folder that of a run with these settings, or checks that it is.

        Args:
            settings: values that JSON can hold.

        Raises:
            UsageError: `FOLDER_OCCUPIED`, or `differ_code`.
            TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
        """
        self.require_own()
        if self.is_claimed:
            self.require_same(settings)
        else:
            self.write_settings(settings)

    def require_own(self) -> None:
        """Refuses a folder that holds files but no settings; files that a killed run left half written do not count.

        Raises:
            UsageError: `FOLDER_OCCUPIED`.
        """
        if self.is_claimed or not self.root.exists():
            return
        if not self.root.is_dir() or any(not is_partial(path) for path in self.root.iterdir()):
            raise UsageError("FOLDER_OCCUPIED", f"{self.root.name} holds something else; name a new or empty folder")

    def require_same(self, settings: Mapping[str, Any]) -> None:
        """Refuses other settings than those of the run that claimed the folder; damaged settings count as others.

        Args:
            settings: values that JSON can hold.

        Raises:
            UsageError: `differ_code`, with the names of the settings that differ.
        """
        written = self.settings()
        expected = json.loads(json.dumps(settings))
        differing = [name for name in {**expected, **written} if written.get(name) != expected.get(name)]
        if differing:
            raise UsageError(
                self.differ_code,
                f"{self.root.name} was made with other settings ({', '.join(differing)}); "
                "use those settings or another folder",
            )

    def settings(self) -> dict[str, Any]:
        """Returns the settings of the run that claimed the folder; nothing when they are missing or damaged."""
        return read_object(self.root / self.settings_file)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Writes the settings, which claims the folder.

        Raises:
            TemporaryFailure, CannotWrite: see `voxlate.errors.writing`.
        """
        write_json(self.root / self.settings_file, settings)
