"""Host-side preprocessing in numpy and Pillow, equal to the reference's processors bit for bit.

Modules: `image` (what happens to one image), `video` (what counts as videos), `processor` (the base
of the image processors), `multimodal` (the base of those that take images and texts), `videomae`
(which families share). Tokenizers are in `tfzoo.text`.
"""
