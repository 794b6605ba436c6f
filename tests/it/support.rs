//! What the tests stand on.

pub mod agent;
pub mod editor;
pub mod lua;
pub mod model;
