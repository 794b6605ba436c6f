//! How many tokens a text is, exactly as the vendors' public tokenizers count it, without the time they take.
//!
//! tiktoken-rs holds the vocabularies and is the truth: `build.rs` lays them into the program, in the form that `table`
//! says, and `encoder/tests.rs` compares every token on a corpus. Its encoder is not used, for it takes twice the time of others (a regular expression with look-ahead finds the pieces), and a
//! megabyte of blanks ends it. Here `split` finds the pieces with loops over `class`, `vocabulary` looks them up, `merge`
//! encodes what is no token, in time that is linear whatever the text, and `encoder` spreads a large text over the cores.
//! `counter` is what others use: it makes the tables at the first need, off the reactor, and remembers what was counted.

mod class;
pub mod counter;
mod encoder;
mod merge;
mod split;
mod table;
mod vocabulary;

/// A public vocabulary with its pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `o200k_base`: OpenAI's models since GPT-4o. The texts of gpt-oss (`o200k_harmony`) count the same.
    O200k,
    /// `cl100k_base`: GPT-4 and GPT-3.5, and the embeddings of their time.
    Cl100k,
}

impl Encoding {
    /// Both.
    pub const ALL: [Self; 2] = [Self::O200k, Self::Cl100k];

    /// The name that tiktoken has for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::O200k => "o200k_base",
            Self::Cl100k => "cl100k_base",
        }
    }
}
