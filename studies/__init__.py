"""Studies of the method: what it reaches, beside baselines, and what each of its parts is worth."""
