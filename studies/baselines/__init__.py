"""Other ways to the same label maps, each with what the pipeline's stages made of a scene."""
