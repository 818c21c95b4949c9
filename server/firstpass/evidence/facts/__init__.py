"""What a diff did to definitions, files, dependencies, settings and messages."""
