"""What a study looks like: pictures, the self-contained HTML page, and text for the terminal."""
