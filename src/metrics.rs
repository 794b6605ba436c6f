//! Numbers about the work.
