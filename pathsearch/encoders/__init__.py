"""Frozen trunks and their features, each image encoded once.

- `encoder`: The frozen trunk: images to feature maps. It never learns, so every image needs it once.
- `encoder_weights`: The weights of a trunk: random from a seed, torchvision's own, or from a file that holds tensors
  and nothing else.
- `features`: Encode once, keep, verify: feature maps on disk, one array a view, memory-mapped; the search sees no
  image.
- `frozen`: A network fixed for good, and the digest that says whether it is another's equal.
- `noise`: Noise on pixels, of a stated kind and strength: what a network that denoises must see through.
- `own`: Encoders of a user's own: what fails in their code is told as theirs, in one line.
- `pixels`: Pixels as a source: no trunk at all, for networks that are complete by themselves.
- `pooled`: What the router sees of an image: few numbers of what the source has of it.
- `split`: The features and the truth of one split of a task, and how features are brought to mean 0 and spread 1.
- `views`: Images as the encoder takes them: decoded, square, and the augmented views of training images.
"""
