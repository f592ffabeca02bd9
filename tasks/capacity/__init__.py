"""Where measurements go: history cleaned and cut at its steps, slopes, seasons, calibrated bands, and the report."""
