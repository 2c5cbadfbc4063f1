"""An issuer over a secret that people fill with keys from the vendor's portal."""
