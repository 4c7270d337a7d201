"""What a training run writes besides checkpoints: results, model card, pictures of filters, trackers."""
