"""What happens to a stage when something goes wrong, and whether its outputs suffer from it."""
