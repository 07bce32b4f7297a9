"""What stands in for `lerobot.configs`."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class PreTrainedConfig:
    @classmethod
    def from_pretrained(cls, pretrained_name_or_path: str | Path, **kwargs: Any) -> SimpleNamespace:
        found = json.loads((Path(pretrained_name_or_path) / "config.json").read_text())
        return SimpleNamespace(**{"device": None, **found})
