"""The command line: what is typed, said and asked back.

- `compare`: pathsearch compare: the evolved path beside its controls over several seeds.
- `demo`: The whole flow on generated data: true WFDB records and JPEG folders, through the same code as real ones.
- `doctor`: What is installed, which device, weights and data are in reach, and what to do about the rest.
- `errors`: What a person is told when a command fails: one line, and an exit code that says whose mistake it was.
- `evolve`: pathsearch evolve: from a prepared task to an expert, or from several to one each.
- `given`: Options made from the declarations of settings, and the settings that a command line asks for.
- `interrupts`: Ctrl-C, kill and a closed terminal: the command unwinds, says in one line what is true, exits as a shell
  expects.
- `main`: The command line: parse, call, print; nothing else.
- `prepare`: pathsearch prepare …: raw data to a prepared task, one command a source.
- `results`: pathsearch results: the page of all results, from the run files kept as evidence.
- `runs`: How every run from the command line begins and ends.
- `settings`: pathsearch settings: every setting with its help, reason and bounds, as a file to start from.
- `several`: Runs for several tasks at once, of evolve and train: one after another on one grid, or together.
- `terminal`: What a person sees: progress bars with time left, tables of results, one line for an error.
- `train`: pathsearch train: a network without a search, for one task, or for several that share layers.
- `use`: pathsearch bundle and pathsearch predict: finished runs to a portable folder, and images to answers.
"""
