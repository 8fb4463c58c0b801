"""Training of the small model on the figures world, in four resumable stages."""
