"""The demo kit's small CLIP and small DINO: trained on the pictures that `tools.scenes` renders."""
