//! Text as the protocol knows it: a rope with byte offsets, LSP positions in three encodings, and edits that can be
//! applied, inverted, composed and carried over one another.
//!
//! Everything the product promises about a user's keystrokes rests on this module, so it knows nothing else: no
//! files, no versions, no editor.

#[cfg(test)]
mod arbitrary;
pub mod diff;
pub mod edit;
pub mod locate;
pub mod position;
pub mod rebase;
pub mod rope;

pub use self::edit::{Edit, EditError, EditSet, Side};
pub use self::position::{Encoding, Position, Range};
pub use self::rebase::{Conflict, Rebased, rebase, rebase_hunks};
pub use self::rope::Text;
