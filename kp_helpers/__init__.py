"""Keypoints from a frozen diffusion model: the helpers behind the notebooks.

Modules stand in layers and import only from lower ones: `config`, `geometry`, `store`, `randomness`,
`metrics`, `intervals`; `heatmaps`, `keypoints`, `losses`, `regress`; `attention`, `diffusion`, `embeddings`,
`data`; `reading`; `stages`; `evaluate`, `predict`; `notebook`, `results`, `reproduce`, `widgets`. The
synthetic world is in `figures`.
"""

__version__ = "0.1.0"
