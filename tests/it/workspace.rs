//! The workspace by its public face: what the editor shows, what runs stage on it, and what becomes of both.

mod deliver;
mod desk;
mod follow;
mod interleave;
mod places;
mod stage;
mod undo;
