"""Training of the small model on the figures world, in resumable stages."""
