"""Module kinds, vocabularies, paths with their recipes, the grid, and many paths in one pass.

- `blueprint`: A blueprint: the layers of a grid and what each reads. An immutable value that checks itself.
- `branches`: The paths of several tasks as one: genes of the layers that all share, then those of each task's own
  branch.
- `copies`: Many paths with weights of their own in one pass: what the fresh mode trains.
- `grid`: The grid: L layers of M modules as a blueprint says, and one head for each task.
- `map_modules`: Module kinds from a map to a map, of another size too: what encoders and decoders that learn are made
  of.
- `modules`: Module kinds: small networks with an input and an output shape, registered by name.
- `path`: A path: which modules are active in each layer, and how it is trained. The genotype, an immutable value.
- `plugins`: Plug-ins, module kinds of your own: Python files or installed modules, named by the user, known by their
  digest.
- `population`: Many paths in one pass: in each layer, every distinct (input, module) pair runs once for the whole
  population.
- `presets`: Presets: published networks by name, each one path of a blueprint that holds it, and how it is trained.
- `recipe`: A recipe: how a path is trained, as genes that evolve with its modules. An immutable value.
- `unets`: Blueprints of networks from pixels down to small maps, and up again to large ones; or up from an encoder's
  stages.
- `vocabulary`: Vocabularies: what each layer of a grid offers, by the name that --modules takes.
- `walk`: The one walk through a blueprint's layers, whoever walks: a single path, a population in one pass, or copies.
"""
