"""ODISE (Xu et al., CVPR 2023): open-vocabulary panoptic segmentation from a frozen text-to-image U-Net.

`features` is the frozen half: one pass of the U-Net under an implicit caption, equation (3). `head` is the
half that learns: masks with an embedding each, equations (5) to (8). `classify` gives a mask its class,
equation (9), `merge` paints the picture, `quality` measures it.
"""
