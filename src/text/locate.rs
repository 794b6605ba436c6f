//! Finding the text that a model quotes.
