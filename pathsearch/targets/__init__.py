"""What a task asks for: how an answer is decided, and what a person is shown of mistakes.

- `decision`: From probabilities to a class: the most probable one, or for two classes a threshold fixed on validation.
- `mistakes`: The wrong answers that a path was surest of: what a reader asks to see first.
"""
