"""LXMERT: the common checks, and what is its own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfzoo
from tests.families.lxmert_cases import CASES, config, objects, pairs, texts
from tests.support.cases import FLAGS
from tests.support.compare import assert_same, flatten
from tests.support.family_checks import FamilyChecks
from tests.support.shapes import shapes_only
from tfzoo.config import ConfigError
from tfzoo.variables import slots

BY_NAME = {case.name.split("/")[1]: case for case in CASES}


# Keras says so of the heads whose labels are not among the inputs.
PARTLY = pytest.mark.filterwarnings("ignore:Gradients do not exist")


@PARTLY
class TestLxmert(FamilyChecks):
    cases = CASES
    default_counts = {
        "TFLxmertModel": (449, 207_936_768),
        "TFLxmertForPreTraining": (472, 228_051_752),
        "TFLxmertForQuestionAnswering": (455, 223_722_524),
    }
