"""The HTTP surface: metrics, health and a landing page, over TLS and behind passwords if asked."""
