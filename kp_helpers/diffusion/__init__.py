"""The frozen latent diffusion model: load it from a folder or the hub, image to latent, latent to noised
latent.
"""

from kp_helpers.diffusion.loading import FIGURES, SHIPPED, half_is_emulated, load, load_network
from kp_helpers.diffusion.model import Diffusion
from kp_helpers.diffusion.model_folder import ModelError
