//! Carrying one set of edits over another made on the same text.
