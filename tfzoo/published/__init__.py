"""Numbers that the published checkpoints are known to give, and how tfzoo computes them.

`tfzoo verify --published` downloads the checkpoints and compares. One module for each family holds
its rows, under the family's name; `answer.py` says what a row is, `inputs.py` where the photos and
videos are found that the numbers were published for.

The numbers are facts from the tests of `transformers`, release 5.13 unless a row says otherwise.
"""
