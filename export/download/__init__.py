"""Downloads of published weights; host only."""
