"""One page that shows what a synthetic image is worth, made from an evaluation folder."""
