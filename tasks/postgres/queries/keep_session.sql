-- The lock's session idles for hours; a server that ends idle sessions must not end this one.
SET idle_session_timeout = 0
