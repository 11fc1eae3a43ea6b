"""How far a bundle is from the model it was made of, what it costs to run, and whether that is good enough."""
