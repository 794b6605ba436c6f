//! The editor's language.
