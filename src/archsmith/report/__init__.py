"""How a study is shown: pictures, the self-contained HTML page, and text for the terminal."""
