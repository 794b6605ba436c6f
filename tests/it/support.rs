//! What the tests stand on.

pub mod editor;
pub mod model;
