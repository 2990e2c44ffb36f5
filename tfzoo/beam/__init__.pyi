# ruff: noqa
# fmt: off
"""Where the names are, for editors and type checkers; made by `python -m tests.support.stub`."""

from tfzoo.beam.handler import SavedModelHandler as SavedModelHandler
from tfzoo.beam.handler import TaskHandler as TaskHandler
from tfzoo.beam.pipeline import AnswerFiles as AnswerFiles
from tfzoo.beam.pipeline import PredictFiles as PredictFiles
from tfzoo.beam.reading import Reading as Reading
from tfzoo.beam.reading import local_file as local_file
from tfzoo.beam.reading import reading_for as reading_for
