"""What is aimed at and what was tried: metrics, objectives, limits, trials, agreement of orders."""
