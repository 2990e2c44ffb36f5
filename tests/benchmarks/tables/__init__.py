"""Tables that show a property of one model, without a reference beside it."""
