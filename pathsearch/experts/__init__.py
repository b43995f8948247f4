"""The story of a run; the fixed expert, the router, and the model that answers images.

- `answer`: What a model says to one image, whatever its task asks for.
- `answer_columns`: The columns of rows of answers, by what the experts of a model answer with.
- `answer_files`: Answers that are pictures as files of their own: masks and images, each at the size of the image that
  was asked.
- `answer_rows`: Answers as rows of CSV or JSON lines, each written as soon as it is known.
- `answers`: The test images that a person is shown: which they are, and what was asked and answered, in a file of the
  run.
- `bundle`: A bundle: one portable folder with everything that answers images, every file of it under a digest.
- `calibration`: Is the share of rejected images what was promised? Asked of test images that nothing was fixed on.
- `evolve`: From a prepared task to a fixed expert and its report: the steps of pathsearch evolve, in order.
- `expert`: An expert: a fixed path with its fixed weights, in one safetensors file that rebuilds it anywhere.
- `explain`: Why an answer: which places of an image speak for its class (Grad-CAM), through the encoder and the
  expert's path.
- `export`: The whole model as one ONNX graph: encoder, router, experts and thresholds, for any runtime without torch.
- `finishing`: How every run ends: the expert is fixed, the test images are read once, and the run is sealed.
- `group`: Tasks at their places on one grid, whose networks are trained together: each training's pupils, kept when it
  ends.
- `heritage`: Earlier experts on a grid: put them in their places, fix them there, and prove that nothing moved.
- `joint`: The joint evaluation: all tasks' test images mixed, routed without their labels, answered by the experts.
- `joint_rates`: The rates of a joint evaluation: each task by its own measures, all tasks of classes together, the
  routing.
- `joint_report`: The report of a joint evaluation: which fields it has, and what stands in them.
- `markdown`: Markdown: tables, links and commands, from plain text that may hold anything.
- `mixture`: The mixed stream: images of all tasks without their labels, each routed and answered, and sorted back by
  task.
- `model`: One model of several finished runs: their encoder, router and experts, and what it says to images.
- `model_card`: The model card of a bundle: what it answers, on which data it was made, its numbers and its limits, in
  Markdown.
- `pictures`: Whatever a user calls an image, files by the folder included, prepared as the tasks' own images were.
- `predict`: Answers for a stream of images: threads decode the next ones while the encoder computes, at constant
  memory.
- `reporting`: What a finished run says of itself: every number with its split, encoder, baselines and interval.
- `reuse`: Who uses whose modules on one grid: parameters of a task's own, and those reused from earlier tasks.
- `router`: The router: encoder features to a task, or unknown. Closed form, so adding a task needs no other task's
  images.
- `rules`: Answers by rule: small expressions over what several experts say to one image, parsed and never run as code.
- `run_report`: The report of a run and its path.json: which fields they have, and what stands in them.
- `run_verdict`: What a run's report says of its network beside each baseline: one of three answers, by the paired test.
- `seen`: Images that a network's layers have learned from: kept with each run, looked for among the test images of
  later ones.
- `together`: Several tasks or targets on layers that they share, trained together; each becomes a run and an expert of
  its own.
- `together_search`: The search for several tasks at once: one path where they share layers, a branch for each, chosen
  by all of them.
- `trainings`: The last trainings of a run. None needs another's outcome, so they run side by side; each leaves its
  file.
"""
