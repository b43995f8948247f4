"""Figures and pages, made from files alone.

- `again`: The command that makes a run again, told from its settings.
- `album`: The task in words and small pictures, in one file of a run, so that its page can be made without the data.
- `alt_texts`: What a figure shows, in a sentence with its numbers: for whoever does not see it.
- `evidence`: Run files as evidence: the reports below a folder, each with its settings, read once and checked field
  by field.
- `evidence_copy`: A finished run's report and settings, copied without what belongs to one machine or shows one
  image.
- `figure_answers`: Test images with what was asked and what was answered, worst to best; and how good answers are
  against size.
- `figure_calibration`: Promised against observed share of rejected images.
- `figure_compare`: Test accuracy against parameters: every method at every seed, its mean and its spread.
- `figure_confusion`: A confusion table as a figure: counts, row percentages, shades that also print in grey.
- `figure_confusions`: The largest confusions as bars: what a confusion table of very many classes would hide in its
  white.
- `figure_curves`: What is drawn against generations and epochs: the search's fitness, and the last training.
- `figure_finalists`: The finalists: score against size, and which of them are within one standard error of the best.
- `figure_fronts`: What each number of parameters buys: every method's front, on validation and on test.
- `figure_grid`: One path drawn on the grid that it was found on.
- `figure_heat`: An image, and beside it the same image under its heat map.
- `figure_overlay`: An image, and beside it the same image under what was answered: outlines of a mask, a box, or an
  image.
- `figure_paths`: All experts' paths on one grid, and who uses whose modules.
- `figure_reliability`: Accuracy against confidence, before and after temperature scaling, and how confident the
  answers are.
- `figure_style`: How every figure looks, how it is saved, and how the files that it is made from are read.
- `figures`: From the files of a run directory to figures, each as PNG and SVG; nothing is taken from memory.
- `heat_files`: What explains answers, as files: heat maps of classes, masks and boxes over their images, each under
  its own name.
- `page_comparison`: The page of a comparison: verdict first, then the methods, the tests between them, and whatever
  else is told.
- `page_joint`: The page of a joint evaluation: all tasks' test images mixed, and nobody says which is which.
- `page_joint_other`: The parts of a joint evaluation's page that speak of its answers, where some tasks ask for no
  class.
- `page_network`: How a run's network came about, for its page: what the search found, or what was given and trained
  without one.
- `page_other`: The parts of a run's page that speak of its answers, for a task that asks for something else than a
  class.
- `page_run`: The page of one run: what was asked, what came out, and everything that a reader needs to doubt it.
- `page_source`: What a page is made from: the files of a folder, read once; figures and small pictures as data URIs.
- `page_statistics`: Calibration, McNemar's test and class shares as tables, where a report has them.
- `page_tables`: Tables and numbers of a page, from the values of a report.
- `published`: Numbers that others published, each with its source and what it is over; nothing here was measured by
  us.
- `report_page`: report.html: one file that says what was asked, what came out and on what it stands; made from files
  only.
- `results_beats`: AAMI's classes of heart beats on the results page: sensitivity and positive predictive value of
  each class.
- `results_compare`: Comparisons on the results page: every method over the seeds, and what the report says of them.
- `results_corrections`: Which numbers of the results page were made before corrections, read from the fields of their
  reports.
- `results_joint`: Joint evaluations on the results page: routed beside oracle, and what became of each task's images.
- `results_other`: Masks, boxes and whole images on the results page: a table of each kind, published numbers above
  ours.
- `results_page`: docs/results.md: every number of the runs kept as evidence, beside what others published, written
  from files.
- `results_paper`: The paper's tables, row by row, ours below each.
- `results_rows`: Rows of the results page: runs that agree in all but the seed, and their numbers as text.
- `results_tasks`: Sections of the results page on single tasks: what each row is, what stands beside it, and how it
  was made.
- `settings_page`: The page of all settings, docs/settings.md, and the same as one object, from their declarations.
"""
