"""Keypoints from a frozen diffusion model: the helpers behind the notebooks.

Modules stand in layers and import only from lower ones: `config`, `geometry`; then `heatmaps`, `keypoints`,
`losses`, `metrics`, `intervals`, `regress`; then `diffusion`, `attention`, `embeddings`, `data`; then
`optimize`; then `results` and `reproduce`. The synthetic world is in `figures`.
"""

__version__ = "0.1.0"
