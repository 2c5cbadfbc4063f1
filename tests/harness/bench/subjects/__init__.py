"""What is measured, a module for each library, since a subject's imports count as its own."""
