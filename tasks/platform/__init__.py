"""Kubernetes and Docker Compose: what runs there, what it asks for and what it uses. Nothing is changed."""
