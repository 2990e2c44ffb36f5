# ruff: noqa
# fmt: off
"""Where the names are, for editors and type checkers; made by `python -m tests.support.stub`."""

from tfzoo.viz.detections import draw_detections as draw_detections
from tfzoo.viz.flow import draw_flow as draw_flow
from tfzoo.viz.flow import flow_to_image as flow_to_image
from tfzoo.viz.flow import flow_wheel as flow_wheel
from tfzoo.viz.frames import draw_attention as draw_attention
from tfzoo.viz.frames import draw_frames as draw_frames
from tfzoo.viz.ranking import draw_ranking as draw_ranking
from tfzoo.viz.rollout import attention_rollout as attention_rollout
from tfzoo.viz.rollout import rollout_divided as rollout_divided
from tfzoo.viz.rollout import rollout_joint as rollout_joint
from tfzoo.viz.similarity import draw_similarity as draw_similarity
from tfzoo.viz.suggestions import draw_suggestions as draw_suggestions
from tfzoo.viz.timeline import draw_timeline as draw_timeline
