"""How paths are trained and scored, what that costs, last trainings, and the baselines.

- `baselines`: What every searched result is measured against: same features, same training, no search.
- `batches`: Minibatches, and how many images or paths go through one pass, so that memory stays flat on a laptop.
- `bench`: The bench: what a search or a training stands on, made once and handed on whole. Test images are not on it.
- `branch_weights`: Paths of several tasks, trained and scored together: shared layers learn from all, each branch from
  its own.
- `cost`: What training costs, counted alike for every method: images, path-images and operations.
- `course`: The course of a last training: one network or several, and everything that the next epoch depends on.
- `fitness`: Train the paths of a generation and score them on validation images: PathNet's way, with shared weights.
- `fixed_layers`: Fixed layers that come first in a network: what they put out is computed once for each image and view.
- `folds`: Cross-validation, in a search and in the choice after it: images in parts, of which each is left out once.
- `fresh`: The other way to score paths: every one trained from the same start, so that its fitness is its own.
- `halfway`: Where a long training stands, kept every so often, so that a kill costs half a minute and not all of it.
- `kept`: What an interrupted run goes on from: the last generation of its search, and every training that it finished.
- `last_training`: The last training of a path, alone or with others: early stopping, weights averaged. Baselines get
  the same.
- `optimisers`: How weights move: optimisers and their rates, AdamW for every path of a population by its own, running
  averages.
- `sequential`: PathNet as it was published: paths trained one after another on the shared weights. The rival of the one
  pass.
- `strategies`: Strategies: which of several networks have a turn in a step of training, and how their losses are
  weighed.
"""
