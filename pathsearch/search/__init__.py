"""The genetic algorithm, finalists and choice, and the rivals that a comparison sets beside it.

- `arena`: What a method of a comparison may spend on its bench, and what it leaves behind.
- `choice`: The one selection rule: of candidates trained alone, take the smallest good one on images not trained on.
- `compare`: Does search pay? The evolved path beside its controls over several seeds: all on validation first, then one
  test.
- `comparison`: The directory of a comparison: settings before work starts, one whole file a part, report and digests at
  the end.
- `comparison_report`: The report of a comparison: which fields it has, and what stands in them.
- `config_file`: The settings in a config.json, and in the reports of earlier comparisons, as far as they are read
  again.
- `drawing`: Controls without a search: candidates are drawn and trained alone until the evolved path's path-images are
  spent.
- `finalists`: Which of the visited paths are trained to the end.
- `nearest`: k-nearest neighbours on pooled features: what the encoder alone knows, without a weight trained.
- `rivals`: The evolved path and its controls, each at the same budget and under the same selection rule, one seed at a
  time.
- `search`: The genetic algorithm: DEAP's toolbox and selection over paths. The only file that imports DEAP.
- `tradeoff`: What size buys: every method's front of accuracy against parameters, and whether the full grid is matched.
- `verdict`: A comparison in plain sentences: than what the evolved path is better or worse, and what was not asked.
"""
