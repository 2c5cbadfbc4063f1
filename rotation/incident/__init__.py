"""What a person does when a key leaks or a rotation was a mistake: declare, contain, roll back."""
