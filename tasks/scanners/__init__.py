"""Trivy and gitleaks: programs that are called, and whose silence is no proof."""
