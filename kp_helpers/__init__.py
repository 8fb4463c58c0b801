"""Keypoints from a frozen diffusion model: the helpers behind the notebooks.

Modules stand in layers and import only from lower ones: `config`, `geometry`, `store`, `metrics`,
`intervals`; `heatmaps`, `keypoints`, `losses`, `regress`; `attention`, `diffusion`, `embeddings`,
`data`; `reading`; `stages`; `evaluate`, `predict`; `notebook`, `results`, `reproduce`, `widgets`. The
synthetic world is in `figures`.

For a first look there are six verbs, `import kp_helpers as kit`: `kit.load` a model, take `kit.pictures`,
`kit.attend` to words on them, `kit.discover` keypoints without labels, `kit.teach` one from a few labels,
`kit.find` it in other pictures. They are imported when they are first used.
"""

import importlib

__version__ = "0.1.0"
__all__ = ["attend", "discover", "find", "load", "pictures", "teach"]


def __getattr__(name: str):
    if name not in __all__:
        raise AttributeError(f"module 'kp_helpers' has no attribute {name!r}")
    return getattr(importlib.import_module("kp_helpers.notebook.kit"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
