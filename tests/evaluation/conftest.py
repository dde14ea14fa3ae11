"""What is measured is drawn as what is trained on."""

from __future__ import annotations

import runpy
from pathlib import Path

_shared = runpy.run_path(str(Path(__file__).parents[1] / "training" / "conftest.py"))
face_set, drawn_faces = _shared["face_set"], _shared["drawn_faces"]
