"""Goals and results of a study: metrics, objectives, limits, trials, rank agreement."""
