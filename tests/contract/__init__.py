"""The promises of the interfaces, tested on everything that implements them."""
