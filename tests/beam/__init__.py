"""Tests of `tfzoo.beam`, for an environment with Apache Beam (`pip install -e .[beam]`)."""
