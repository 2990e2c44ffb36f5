"""Layers that several families share. They know no family and no config class.

Shapes everywhere in tfzoo use one glossary:

==========  ==================================================
``B``       batch
``T``       frames
``N``       tokens (or patches of one frame)
``D``       width of the model
``H``       attention heads
``K``       width of one head, ``D // H``
``Q``       queries
``L``       layers
``C``       channels
==========  ==================================================
"""
