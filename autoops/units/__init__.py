"""systemd: what it says about our units, and what is written for it."""
