"""What every package stands on: errors, registries, files, text."""
