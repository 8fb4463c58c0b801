"""A synthetic world of articulated people and things, and a small diffusion model that is trained on it."""
