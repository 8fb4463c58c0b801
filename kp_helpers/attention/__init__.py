"""Attention maps of a context: where in an image the U-Net's cross-attention looks for each token.

For each read-out layer, logits = Q K^T / sqrt(d) per head, from image features (queries) and context (keys).
They are upsampled bicubically to the map's grid, softmax goes over the tokens, then the mean over heads and
over layers. StableKeypoints upsamples the features instead; projection, product and bicubic interpolation are
all linear, so the maps are the same and the work is a small part of it. What lies behind the last read-out
layer is never run.
"""

from kp_helpers.attention.layers import AttentionError, cross_attention_layers, readout_layers
from kp_helpers.attention.maps import (
    attention_maps,
    linear_features,
    linear_map,
    logits,
    maps_from_queries,
    rival_sums,
    spatial_maps,
    summed_map,
)
from kp_helpers.attention.unet_pass import PRECISIONS, Query, queries
