"""The ground of the compiler: alerts, amounts and names. It imports no other wing."""
