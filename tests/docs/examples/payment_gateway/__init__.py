"""The payment gateway of ``docs/examples/payment-gateway.md``: emulated, and rotated."""
