"""Settings, the run directory and its files, named streams of random numbers, threads, progress.

- `ahead`: Work of several threads as one stream, in order, at constant memory.
- `declared`: How a setting is declared: default, help, reason, bounds and option stand once, beside its name and type.
- `drawn`: What is drawn and written of a run for a reader, by name: a run that starts again removes it first.
- `engine`: Where independent work runs: in this process, or beside each other in as many as there are cores to use.
- `environment`: What a run was made with: versions, processor, threads.
- `fields`: Are the fields of a JSON object there, and of their type? One clear line for the first that is not.
- `growing`: An array on disk that grows row by row, survives kills and damage, and takes its name when it is whole.
- `idle_settings`: Settings that others leave without effect: who gives one of them is told so, and what would make it
  count.
- `log_table`: Rows of a run's log as CSV.
- `place`: Where a command works: the cache that it fills, the device it computes on, and who hears of its progress.
- `runs`: The run directory: settings before work starts, files whole or not at all, digests of all of them at the end.
- `same_encoder`: Do several experts stand on one encoder? If not, what differs, in words.
- `sealed`: Tensors and plain values in one file that says whose they are and holds a digest of itself.
- `search_settings`: Settings of the search: the genetic algorithm, and how paths are trained and scored while it runs.
- `setting_checks`: What a settings class refuses: each check names the setting, what it expects and what it got, in one
  line.
- `settings`: Settings: frozen, checked when made, one reason beside each default; saved resolved before work starts.
- `settings_file`: Settings files: any of the settings as TOML, read with one line for whatever is wrong, and written as
  a start.
- `streams`: One seed, many named random streams; nothing here or elsewhere reads a global generator.
- `sums`: SHA256SUMS: the digests of a folder's files, as sha256sum -c SHA256SUMS reads them, and the check of them.
- `teller`: How long work tells what it is doing, without knowing who listens.
- `tensor_file`: Named tensors in one safetensors file: written whole or not at all, read with one line for whatever is
  wrong.
- `threads`: How many threads a step of training gets: all cores for large operations, one for small ones.
- `together_settings`: Settings of tasks that are trained together: which of them share a step, and how their losses are
  weighed.
- `training_settings`: Settings of the last training of a path, and the rule by which its answers are decided.
"""
