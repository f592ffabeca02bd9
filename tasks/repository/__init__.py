"""Where bytes lie: stores, streams, manifests, the journal."""
