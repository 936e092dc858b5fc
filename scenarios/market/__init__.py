"""Pure: what the scenarios of the file market share: crowds and markets to play with, laws, and claims."""
